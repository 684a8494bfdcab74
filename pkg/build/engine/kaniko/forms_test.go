package kaniko

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
)

// TestFormRefusals wants the rows of forms.go to refuse what the engine would ignore, and
// nothing else.
func TestFormRefusals(t *testing.T) {
	archive := append(make([]byte, 257), "ustar"...)
	archive = append(archive, make([]byte, 1024-len(archive))...)
	context := fstest.MapFS{"a.tar": {Data: archive}, "run.sh": {Mode: 0o755}}
	for name, test := range map[string]struct{ in, message string }{
		"setuid":                {"FROM a\nCOPY --chmod=4755 run.sh /\n", "--chmod=4755"},
		"setuid by variable":    {"FROM a\nARG M=2755\nCOPY --chmod=$M run.sh /\n", "--chmod=2755"},
		"plain mode":            {"FROM a\nCOPY --chmod=0755 run.sh /\n", ""},
		"owner of an archive":   {"FROM a\nADD --chown=1:2 a.tar /x/\n", "ignores --chown"},
		"owner by a pattern":    {"FROM a\nADD --chown=1:2 *.tar /x/\n", "ignores --chown"},
		"owner of a file":       {"FROM a\nADD --chown=1:2 run.sh /x/\n", ""},
		"copied archive":        {"FROM a\nCOPY --chown=1:2 a.tar /x/\n", ""},
		"user without a value":  {"FROM a\nUSER ${U:+1}\n", "colon"},
		"user from a plain ARG": {"FROM a\nARG U=app\nUSER ${U}:app\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			refusals := check(t, test.in, engine.Source{Context: context}).Refusals
			if test.message == "" {
				if len(refusals) > 0 {
					t.Errorf("refused: %+v", refusals)
				}
				return
			}
			if len(refusals) != 1 || !strings.Contains(refusals[0].Message, test.message) || refusals[0].Remedy == "" {
				t.Errorf("refusals are %+v, want one with %q and a remedy", refusals, test.message)
			}
		})
	}
}

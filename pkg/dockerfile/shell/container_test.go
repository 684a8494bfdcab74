package shell_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

func TestContainer(t *testing.T) {
	for line, want := range map[string][]string{
		"celery -A shop worker":                     {"celery", "-A", "shop", "worker"},
		`  python  "a b" 'c d' e\ f`:                {"python", "a b", "c d", "e f"},
		"exec gunicorn a:app":                       {"gunicorn", "a:app"},
		"gunicorn -b 0.0.0.0:$PORT a:app":           {"gunicorn", "-b", "0.0.0.0:$(PORT)", "a:app"},
		`gunicorn -b ":${PORT}" a:app`:              {"gunicorn", "-b", ":$(PORT)", "a:app"},
		"gunicorn -b :${PORT:-7000} a:app":          {"gunicorn", "-b", ":$(PORT)", "a:app"},
		`echo '$PORT' "\$PORT" \$PORT '$(PORT)' $$`: {"sh", "-c", `exec echo '$$PORT' "\$$PORT" \$$PORT '$$(PORT)' $$$$`},
		`echo '$PORT' "\$PORT" \$PORT '$(PORT)'`:    {"echo", "$$PORT", "$$PORT", "$$PORT", "$$(PORT)"},
		"celery -A $APP worker":                     {"sh", "-c", "exec celery -A $$APP worker"},
		"cd src && gunicorn a:app":                  {"sh", "-c", "cd src && exec gunicorn a:app"},
		"a && b || c":                               {"sh", "-c", "a && b || exec c"},
		"a; b\nc":                                   {"sh", "-c", "a; b\nexec c"},
		"A=1 rq worker":                             {"sh", "-c", "A=1 exec rq worker"},
		"a > /tmp/log":                              {"sh", "-c", "exec a > /tmp/log"},
		"a | b":                                     {"sh", "-c", "a | b"},
		"a & ":                                      {"sh", "-c", "a & "},
		"! a":                                       {"sh", "-c", "! a"},
		"(a; b)":                                    {"sh", "-c", "(a; b)"},
		"a && cd b":                                 {"sh", "-c", "a && cd b"},
		"a && exec b":                               {"sh", "-c", "a && exec b"},
		"ls *.py":                                   {"sh", "-c", "exec ls *.py"},
		`ls '*.py' "a?" \[b`:                        {"ls", "*.py", "a?", "[b"},
		"ls ~/a":                                    {"sh", "-c", "exec ls ~/a"},
		"echo `date` $(date)":                       {"sh", "-c", "exec echo `date` $$(date)"},
		"echo ${PORT#1} ${#PORT} ${PORT:=1}":        {"sh", "-c", "exec echo $${PORT#1} $${#PORT} $${PORT:=1}"},
		"cd a":                                      {"sh", "-c", "cd a"},
		"while true; do a; done":                    {"sh", "-c", "while true; do a; done"},
		"a # b":                                     {"a"},
	} {
		got, script, err := shell.Container(line, "PORT")
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
		if script != (want[0] == "sh") {
			t.Errorf("%s: script is %t", line, script)
		}
	}
	for line, want := range map[string]string{
		"": "it has no command", " # a": "it has no command", "a 'b": "a quote or a command is not closed", "a &&": "not closed", "a )": "a shell cannot read it",
		"if a": "",
	} {
		if _, _, err := shell.Container(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}

// A variable that the container may not have is the shell's.
func TestContainerKnowsItsVariables(t *testing.T) {
	got, script, err := shell.Container("celery -l $PORT")
	if want := []string{"sh", "-c", "exec celery -l $$PORT"}; err != nil || !script || !cmp.Equal(got, want) {
		t.Errorf("got %q, %t, %v", got, script, err)
	}
}

package env

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
)

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("\ufeff# a comment\n\nA=1\n  B=two words # no comment\nC=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("A=1\nhunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args  []string
		file  string
		input string
		want  map[string]string
		err   string
		usage bool
	}{
		"values":                {args: []string{"B=1=2", "A="}, want: map[string]string{"B": "1=2", "A": ""}},
		"standard input":        {args: []string{"A=1", "T"}, input: "hunter2\nsecond line\n", want: map[string]string{"A": "1", "T": "hunter2\nsecond line"}},
		"an end of Windows":     {args: []string{"T"}, input: "hunter2\r\n", want: map[string]string{"T": "hunter2"}},
		"no end of line":        {args: []string{"T"}, input: "hunter2", want: map[string]string{"T": "hunter2"}},
		"a file":                {args: []string{"D=4"}, file: file, want: map[string]string{"A": "1", "B": "two words # no comment", "C": "", "D": "4"}},
		"a file as input":       {file: "-", input: "A=hunter2\n", want: map[string]string{"A": "hunter2"}},
		"nothing":               {err: "name a variable", usage: true},
		"an empty file":         {file: "-", err: "name a variable", usage: true},
		"two of standard input": {args: []string{"A", "B"}, input: "hunter2", err: "standard input is the value of one variable, and A, B have none", usage: true},
		"input twice":           {args: []string{"A"}, file: "-", input: "B=hunter2", err: "standard input has the file, so A needs a value", usage: true},
		"twice":                 {args: []string{"A=hunter2"}, file: file, err: `variable "A" is given twice`, usage: true},
		"no name":               {args: []string{"1A=hunter2"}, err: `variable "1A": this is not the name of a variable`, usage: true},
		"a zero byte":           {args: []string{"A"}, input: "hunter2\x00", err: `variable "A": the value has a character U+0000`, usage: true},
		"a line of a file":      {file: bad, err: "bad:2: the line is not of the form NAME=VALUE"},
		"no file":               {file: "absent", err: "read the variables: open absent"},
		"too much":              {args: []string{"A"}, input: strings.Repeat("x", maxInput+1), err: "it has more than 1024 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, in, _, _ := genericiooptions.NewTestIOStreams()
			in.WriteString(test.input)
			flags := &setFlags{Secret: true, File: test.file}
			change, names, err := flags.read(t.Context(), streams, test.args)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "hunter2") || errors.As(err, new(*option.UsageError)) != test.usage {
					t.Errorf("the error is %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || !maps.Equal(change.Set, test.want) || !change.Secret || !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(maps.Keys(test.want))) {
				t.Errorf("got %v, %v, %v", change, names, err)
			}
		})
	}
}

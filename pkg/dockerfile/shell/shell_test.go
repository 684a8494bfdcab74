package shell

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines returns each command as its assignments and words.
func lines(commands []Command) []string {
	var lines []string
	for _, command := range commands {
		var words []string
		for _, word := range slices.Concat(command.Assigns, command.Words) {
			words = append(words, word.Text)
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines
}

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   []string
	}{
		"one":                         {`pip install foo`, []string{"pip install foo"}},
		"none":                        {` # a comment`, nil},
		"operators":                   {`a && b || c; d & e`, []string{"a", "b", "c", "d", "e"}},
		"quotes":                      {`a "b c" 'd "e"' f\ g "\$h" 'i'"j"`, []string{`a b c d "e" f g $h ij`}},
		"quote in a substitution":     {`echo "$(date +"%d)")" && pip install flask`, []string{`echo $(date +"%d)")`, "date +%d)", "pip install flask"}},
		"brace in a default":          {`test -f ${A:-"}"} && pip install foo`, []string{`test -f ${A:-"}"}`, "pip install foo"}},
		"xargs":                       {`xargs -n1 pip install`, []string{"pip install"}},
		"xargs, values of its own":    {`cat r.txt | xargs -n 1 -I {} pip install {}`, []string{"cat r.txt", "pip install {}"}},
		"timeout":                     {`timeout -k 5 60 pip install foo`, []string{"pip install foo"}},
		"substituted":                 {`x=$(pip install foo)`, []string{"x=$(pip install foo)", "pip install foo"}},
		"backquotes":                  {"echo `pip install foo`", []string{"echo `pip install foo`", "pip install foo"}},
		"process substitution":        {`diff <(pip freeze) b`, []string{"diff <(pip freeze) b", "pip freeze"}},
		"assignments":                 {`A=1 B="2 3" pip install foo`, []string{"A=1 B=2 3 pip install foo"}},
		"assignment alone":            {`A=1`, []string{"A=1"}},
		"export":                      {`export A=1 B="$C" && pip install foo`, []string{"export A=1 B=$C", "pip install foo"}},
		"sudo":                        {`sudo -H -u app A=1 pip install foo`, []string{"A=1 pip install foo"}},
		"env":                         {`/usr/bin/env -i -u B A=1 pip install foo`, []string{"A=1 pip install foo"}},
		"nice":                        {`nice -n 10 nohup pip install foo`, []string{"pip install foo"}},
		"wrapper without a program":   {`timeout 60`, []string{"timeout 60"}},
		"command -v":                  {`command -v pip && command pip install foo`, []string{"command -v pip", "pip install foo"}},
		"loop":                        {`for p in a b; do pip install "$p"; done`, []string{"pip install $p"}},
		"while":                       {`while ! pip install foo; do sleep 1; done`, []string{"pip install foo", "sleep 1"}},
		"if":                          {`if test -f r.txt; then pip install -r r.txt; else true; fi`, []string{"test -f r.txt", "pip install -r r.txt", "true"}},
		"case":                        {`case "$A" in x) pip install foo;; esac`, []string{"pip install foo"}},
		"function":                    {`f() { pip install foo; }; f`, []string{"pip install foo", "f"}},
		"subshell and block":          {`(cd a && pip install foo) && { b; }`, []string{"cd a", "pip install foo", "b"}},
		"time":                        {`time pip install foo`, []string{"pip install foo"}},
		"python -m":                   {`python3 -m pip install foo`, []string{"python3 -m pip install foo"}},
		"uv":                          {`uv pip install foo`, []string{"uv pip install foo"}},
		"sh -c":                       {`sh -c "pip install foo && b"`, []string{"sh -c pip install foo && b", "pip install foo", "b"}},
		"bash -ec in sudo":            {`sudo bash -ec 'pip install foo'`, []string{"bash -ec pip install foo", "pip install foo"}},
		"eval":                        {`eval "pip install foo"`, []string{"eval pip install foo", "pip install foo"}},
		"heredoc for nothing":         {"<<EOF\nset -e\npip install foo\nEOF\n", []string{"set -e", "pip install foo"}},
		"heredoc with a substitution": {"<<EOF\nx=$(pip install foo)\nEOF\n", []string{"x=$(pip install foo)", "pip install foo"}},
		"heredoc for a shell":         {"bash -e <<'EOF'\npip install foo\nEOF\n", []string{"bash -e", "pip install foo"}},
		"indented heredoc":            {"sh <<-EOF\n\tpip install foo\n\tEOF\n", []string{"sh", "pip install foo"}},
		"heredoc with a shebang":      {"<<EOF\n#!/usr/bin/env bash\npip install foo\nEOF\n", []string{"pip install foo"}},
		"heredoc for Python":          {"<<EOF\n#!/usr/bin/env python\npip install foo\nEOF\n", nil},
		"heredoc for a program":       {"cat <<EOF > x\npip install foo\nEOF\nb", []string{"cat", "b"}},
		"redirections":                {`a 2>&1 > b < c &> d`, []string{"a"}},
		"declare":                     {`declare -r A=1; B=(1 2); C[0]=1`, []string{"declare -r A=1", "B=(1 2)", "C[0]=1"}},
		"of a POSIX shell":            {"[[ a; b\n", []string{"[[ a", "b"}},
		"syntax error":                {"a\nb && )\nc", []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(Parse(test.script))); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlaces compares each word with the part of the script that it points to.
func TestPlaces(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   []string // line: words as they are written
	}{
		"lines":        {"a b\nc 'd e' \\\n f", []string{"1: a|b", "2: c|'d e'|f"}},
		"sh -c":        {"x\nsh -c \"pip install 'a b' \\\"c\\\"\"", []string{`1: x`, `2: sh|-c|"pip install 'a b' \"c\""`, `2: pip|install|'a b'|"c\"`}},
		"twice nested": {"sh -c 'sh -c \"pip x\"'", []string{`1: sh|-c|'sh -c "pip x"'`, `1: sh|-c|"pip x"`, `1: pip|x`}},
		"heredoc":      {"<<EOF\nset -e\npip é foo\nEOF\n", []string{"2: set|-e", "3: pip|é|foo"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, command := range Parse(test.script) {
				var words []string
				for _, word := range command.Words {
					words = append(words, test.script[word.Start:word.End])
				}
				got = append(got, string(rune('0'+command.Line))+": "+strings.Join(words, "|"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("words (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPipes(t *testing.T) {
	for script, want := range map[string][]int{
		"a | b | c":                     {-1, 0, 1},
		"a; b $(c) | sudo d":            {-1, -1, -1, 1},
		"(a; b) | { c; d; }":            {-1, -1, 1, -1},
		"a |& time b":                   {-1, 0},
		"sh -c 'a | b'":                 {-1, -1, 1},
		"x; sh -c 'a | b' | c":          {-1, -1, -1, 2, 1},
		"a | while read x; do b; done":  {-1, -1, -1},
		"sh <<EOF\na | b\nEOF\nc | d\n": {-1, -1, 1, -1, 3},
	} {
		var got []int
		for _, command := range Parse(script) {
			got = append(got, command.PipedFrom)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: (-want +got):\n%s", script, diff)
		}
	}
}

func TestExecAndLiteral(t *testing.T) {
	commands := Parse(`a && exec b "$C" 'd' $(e)`)
	if commands[0].Exec || !commands[1].Exec {
		t.Errorf("exec is %t and %t", commands[0].Exec, commands[1].Exec)
	}
	var literal []bool
	for _, word := range commands[1].Words {
		literal = append(literal, word.Literal)
	}
	if want := []bool{true, false, true, false}; !slices.Equal(literal, want) {
		t.Errorf("literal is %v, want %v", literal, want)
	}
	if script, ok := commands[1].Script(); ok {
		t.Errorf("script %q", script.Text)
	}
}

func TestExecForm(t *testing.T) {
	for text, want := range map[string][]string{
		`["uvicorn", "main:app"]`:                 {"uvicorn main:app"},
		`["sh", "-c", "a && exec b --c \"d e\""]`: {`sh -c a && exec b --c "d e"`, "a", "b --c d e"},
		`["env", "A=1", "a\u0062\tc"]`:            {"A=1 ab\tc"},
		`[]`:                                      nil,
	} {
		if diff := cmp.Diff(want, lines(Exec(text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestFields(t *testing.T) {
	for line, want := range map[string][]string{
		`pytest -q -k "a and b" tests/*`: {"pytest", "-q", "-k", "a and b", "tests/*"},
		`a\ b '' "$HOME"`:                {"a b", "", "$HOME"},
		`A=1 python -m pytest`:           {"A=1", "python", "-m", "pytest"},
		`  `:                             nil,
		`a # why`:                        {"a"},
	} {
		got, err := Fields(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`a "b`, `a && b`, `a > b`, `a; b`, `a (b)`} {
		if got, err := Fields(line); err == nil {
			t.Errorf("%q: got %q, want an error", line, got)
		}
	}
}

func TestTail(t *testing.T) {
	const script = `pip "--index-url=https://x"`
	word := Parse(script)[0].Words[1]
	tail := word.Tail(len("https://x"))
	if tail.Text != "https://x" || script[tail.Start:tail.End] != `https://x"` {
		t.Errorf("got %+v", tail)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "a $(b", "sh -c 'sh -c \"sh -c uvicorn\"'", "<<EOF\na\nEOF\n", "a `b \\`c\\``", "x=(a b) y", "a <<A <<B\n$(c)\nA\nB\n", "\xff\x00\"", "${a[@]//x/y}", "sh -c \"a\\\nb\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		for _, command := range slices.Concat(Parse(script), Exec(script)) {
			if len(command.Words)+len(command.Assigns) == 0 || command.Line < 1 {
				t.Errorf("%q: command %+v", script, command)
			}
			for _, word := range slices.Concat(command.Assigns, command.Words) {
				if word.Start < 0 || word.End < word.Start || word.End > len(script) {
					t.Errorf("%q: word %+v", script, word)
				}
			}
		}
		_, _ = Fields(script)
	})
}

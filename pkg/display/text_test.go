package display

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSanitize(t *testing.T) {
	for name, test := range map[string]struct{ text, line, colored, plain string }{
		"plain":                {"text", "text", "text", "text"},
		"colors":               {"\x1b[1;31mERROR\x1b[0m: no", "ERROR: no", "\x1b[1;31mERROR\x1b[0m: no\x1b[m", "ERROR: no"},
		"colors left on":       {"\x1b[38;5;4mblue", "blue", "\x1b[38;5;4mblue\x1b[m", "blue"},
		"cursor movement":      {"a\x1b[2Ab\x1b[10;1Hc\x1b[Kd", "abcd", "abcd", "abcd"},
		"a private mode":       {"\x1b[?25l\x1b[?1049hhidden", "hidden", "hidden", "hidden"},
		"a private m":          {"\x1b[>4;2mkeys", "keys", "keys", "keys"},
		"a title":              {"\x1b]0;mine\x07text\x1b]8;;http://x\x1b\\link", "textlink", "textlink", "textlink"},
		"a device string":      {"\x1bPq#0\x1b\\end", "end", "end", "end"},
		"charset and reset":    {"\x1b(0line\x1bc\x1b7", "line", "line", "line"},
		"one that never ends":  {"text\x1b]0;title", "text", "text", "text"},
		"one cut off":          {"text\x1b[3", "text", "text", "text"},
		"an escape at the end": {"text\x1b", "text", "text", "text"},
		"one broken off":       {"a\x1b[3\x01b", "ab", "ab", "ab"},
		"bells":                {"a\ab\bc\x00d\x7fe", "abcde", "abcde", "abcde"},
		"eight-bit controls":   {"a\u009b2Jb\u0085c", "a2Jbc", "a2Jbc", "a2Jbc"},
		"tabs":                 {"ab\tc", "ab c", "ab      c", "ab      c"},
		"lines":                {"a\nb\r\nc\u2028d", "a b  c d", "a b  c d", "a b  c d"},
		"another direction":    {"a\u202etxt.exe\u2066\u200f", "atxt.exe", "atxt.exe", "atxt.exe"},
		"invisible":            {"a\u200bb\ufeffc\U000e0041", "abc", "abc", "abc"},
		"no UTF-8":             {"a\xffb\x9b", "a\ufffdb\ufffd", "a\ufffdb\ufffd", "a\ufffdb\ufffd"},
		"UTF-8":                {"größe 山 ✓ →", "größe 山 ✓ →", "größe 山 ✓ →", "größe 山 ✓ →"},
	} {
		t.Run(name, func(t *testing.T) {
			for what, got := range map[string][2]string{
				"Sanitize":                {Sanitize(test.text), test.line},
				"SanitizeLog":             {SanitizeLog(test.text, false), test.plain},
				"SanitizeLog with colors": {SanitizeLog(test.text, true), test.colored},
			} {
				if got[0] != got[1] {
					t.Errorf("%s: got %q, want %q", what, got[0], got[1])
				}
			}
		})
	}
}

func TestOneLine(t *testing.T) {
	if got := OneLine("  first\n\tsecond\x1b[31m  third \n"); got != "first second third" {
		t.Errorf("got %q", got)
	}
}

func TestTruncate(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"größe", 5, "größe"},
		{"größer", 5, "größ…"},
		{"abc", 0, "…"},
	} {
		if got := Truncate(test.text, test.limit); got != test.want {
			t.Errorf("Truncate(%q, %d) = %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

func TestJoinMax(t *testing.T) {
	for _, test := range []struct {
		items, want string
	}{
		{"", ""},
		{"a", "a"},
		{"a b c", "a, b, c"},
		{"a b c d", "a, b, c and 1 more"},
		{"a b c d e f g", "a, b, c and 4 more"},
	} {
		if got := JoinMax(strings.Fields(test.items), 3); got != test.want {
			t.Errorf("JoinMax(%q) = %q, want %q", test.items, got, test.want)
		}
	}
}

func TestQuoteCommand(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"kubectl", "pyflow", "build", "."}, "kubectl pyflow build ."},
		{[]string{"kubectl", "pyflow", "build", "mono repo"}, "kubectl pyflow build 'mono repo'"},
		{[]string{"kubectl", "--namespace=shop", "--tag=a b", "--name=", "--env=A=$B"}, "kubectl --namespace=shop --tag='a b' --name= --env='A=$B'"},
		{[]string{"A=b", "x=1"}, "'A=b' 'x=1'"},
		{[]string{"echo", ""}, "echo ''"},
		{[]string{"echo", "it's", "$HOME", "a;b"}, `echo "it's" '$HOME' 'a;b'`},
		{[]string{"echo", "nul\x00byte"}, "echo nulbyte"},
	} {
		if got := QuoteCommand(test.args...); got != test.want {
			t.Errorf("QuoteCommand(%q) = %s, want %s", test.args, got, test.want)
		}
	}
}

// A shell must read each argument as it was given.
func TestQuoteCommandInShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	for _, arg := range []string{"mono repo", "it's", `"`, "`id`", "$(id)", "a\nb", "\x1b[31m", "~", "-n", "größe", `back\slash`, "*", "{a,b}", "#", "!", "--a=", "--a=$(id)", "--a=~", "--a='"} {
		command := QuoteCommand("printf", "%s.", arg)
		out, err := exec.Command(bash, "-c", command).Output()
		if err != nil || string(out) != arg+"." {
			t.Errorf("%s prints %q, %v, want %q", command, out, err, arg+".")
		}
	}
}

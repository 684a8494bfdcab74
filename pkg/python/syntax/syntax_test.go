package syntax

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outline writes statements one per line, indented, with their line numbers.
func outline(statements []*Statement, indent string) string {
	var out strings.Builder
	for _, statement := range statements {
		out.WriteString(indent)
		for i, token := range statement.Tokens {
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(strings.ReplaceAll(token.Text, "\n", "⏎"))
		}
		out.WriteByte('\n')
		out.WriteString(outline(statement.Body, indent+"  "))
	}
	return out.String()
}

func TestParse(t *testing.T) {
	for name, test := range map[string]struct{ source, want string }{
		"simple":               {"import os\napp = FastAPI()\n", "import os\napp = FastAPI ( )\n"},
		"nothing":              {"", ""},
		"comments":             {"# a\n\n   # b\nx = 1  # c\n", "x = 1\n"},
		"brackets":             {"x = f(\n  1,  # one\n\n  [2,\n3])\ny = 2\n", "x = f ( 1 , [ 2 , 3 ] )\ny = 2\n"},
		"backslash":            {"x = 1 + \\\n    2\ny = 3", "x = 1 + 2\ny = 3\n"},
		"semicolons":           {"a = 1; b = (2; 3);\n", "a = 1\nb = ( 2 ; 3 )\n"},
		"blocks":               {"if a:\n    b\n    if c:\n        d\nelse:\n\te\nf\n", "if a\n  b\n  if c\n    d\nelse\n  e\nf\n"},
		"one line":             {"if x: a = 1; b = 2\nc\n", "if x\n  a = 1\n  b = 2\nc\n"},
		"lambda in a header":   {"if f(lambda: 1) or (lambda x: x): a\n", "if f ( lambda : 1 ) or ( lambda x : x )\n  a\n"},
		"bare lambda":          {"while lambda: x: a\n", "while lambda : x\n  a\n"},
		"dict in a header":     {"for k in {1: 2}: a\n", "for k in { 1 : 2 }\n  a\n"},
		"annotation":           {"def f(a: int = 1) -> App:\n  return a\n", "def f ( a : int = 1 ) -> App\n  return a\n"},
		"async":                {"async def f():\n  pass\n", "async def f ( )\n  pass\n"},
		"match":                {"match x:\n  case 1:\n    y\nmatch = 2\n", "match x\n  case 1\n    y\nmatch = 2\n"},
		"class":                {"class A(B): pass\n", "class A ( B )\n  pass\n"},
		"dedent to the middle": {"if a:\n    b\n  c\nd\n", "if a\n  b\n  c\nd\n"},
		"triple quotes":        {"x = \"\"\"a\nif b:\n\"c\\\"\"\"\" + 1\ny\n", "x = \"\"\"a⏎if b:⏎\"c\\\"\"\"\" + 1\ny\n"},
		"quotes in a string":   {`x = 'a"b' + "c'd" + 'e\'f'`, `x = 'a"b' + "c'd" + 'e\'f'` + "\n"},
		"raw":                  {`x = r"\" + "y"` + "\n", `x = r"\" + " y "` + "\n"},
		"prefixes":             {`x = Rb"a" + u'b' + bR'c' + rub"d"`, `x = Rb"a" + u'b' + bR'c' + rub "d"` + "\n"},
		"f-string":             {`x = f"{a["b"]:>{w}} {{c}} {d!r}" + e`, `x = f"{a["b"]:>{w}} {{c}} {d!r}" + e` + "\n"},
		"f-string, old quotes": {`x = f"{a['b']}" + f'{f"{1}"}'`, `x = f"{a['b']}" + f'{f"{1}"}'` + "\n"},
		"f-string with lambda": {`x = f"{(lambda: "}")()}" + y`, `x = f"{(lambda: "}")()}" + y` + "\n"},
		"f-string with dict":   {`x = f"{ {1: "}"}[1] }" + y`, `x = f"{ {1: "}"}[1] }" + y` + "\n"},
		"triple f-string":      {"x = f\"\"\"{\n a # no }\n}\"\"\"\ny\n", "x = f\"\"\"{⏎ a # no }⏎}\"\"\"\ny\n"},
		"broken f-string":      {"x = f\"{a\ny = f'{'\nz\n", "x = f\"{a\ny = f'{'\nz\n"},
		"open string":          {"x = 'abc\ny = 2\n", "x = 'abc\ny = 2\n"},
		"open triple":          {"x = '''abc\ny = 2\n", "x = '''abc⏎y = 2⏎\n"},
		"open bracket":         {"x = (1\ny = 2\n", "x = ( 1 y = 2\n"},
		"stray brackets":       {"x = 1)\ny = 2\n", "x = 1 )\ny = 2\n"},
		"numbers":              {"1e-5 + 0x1e-5 + 1_0.5j - .5 + 1.", "1e-5 + 0x1e - 5 + 1_0.5j - .5 + 1.\n"},
		"operators":            {"a**=b//c->d:=e!=f...", "a **= b // c -> d := e != f ...\n"},
		"line ends":            {"\ufeffif a:\r\n  b\r\n\rc\r", "if a\n  b\nc\n"},
		"letters":              {"größe = 'ä'\n", "größe = 'ä'\n"},
		"no text":              {"a\x00b = \xff\xfe\n", "a b = \xff\xfe\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, outline(Parse([]byte(test.source)), "")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSource(t *testing.T) {
	module := Parse([]byte("x = 1\r\nif a:\r\n\tdef f(\r\n):\r\n\t\tb  # c\r\n\r\n\ty\nelse: z"))
	inner := module[1].Body[0]
	for _, test := range []struct {
		statement *Statement
		want      string
	}{
		{module[0], ""}, {module[1], "if a:\n\tdef f(\n):\n\t\tb  # c\n\n\ty\n"}, {inner, "def f(\n):\n\t\tb  # c\n\n\t"}, {module[2], "else: z"},
	} {
		if test.statement.Source != test.want {
			t.Errorf("got %q, want %q", test.statement.Source, test.want)
		}
	}
	if again := Parse([]byte(inner.Source)); len(again) != 1 || outline(again, "") != outline([]*Statement{inner}, "") {
		t.Errorf("it is read as %s", outline(again, ""))
	}
}

func TestLines(t *testing.T) {
	source := "\n# a\nx = '''\n\n''' + y\nf(\n\n  z)\nif a: b\n"
	var got []int
	for _, statement := range Parse([]byte(source)) {
		got = append(got, statement.Line)
	}
	if diff := cmp.Diff([]int{3, 6, 9}, got); diff != "" {
		t.Error(diff)
	}
	call := Calls(Parse([]byte(source))[1].Tokens)[0]
	if call.Line != 6 || call.Arguments[0].Value[0].Line != 8 {
		t.Errorf("the call is in line %d, its argument in %d", call.Line, call.Arguments[0].Value[0].Line)
	}
}

func TestLiteral(t *testing.T) {
	for source, want := range map[string]string{
		`"a:b"`: "a:b", `'a\'b'`: "a'b", `"""a"b"""`: `a"b`, `r"\n"`: `\n`, `"\n\t\\"`: "\n\t\\", `"\x41\u00e4\U0001F600"`: "Aä😀",
		`"\q\x4"`: `\q\x4`, "'a\\\nb'": "ab", `u"a"`: "a", `""`: "", `"""` + `"""`: "", `"\ud800"`: "\ufffd",
	} {
		token := Parse([]byte(source))[0].Tokens[0]
		if got, ok := token.Literal(); !ok || got != want {
			t.Errorf("%s is %q, %t", source, got, ok)
		}
	}
	for _, source := range []string{`f"a"`, `b"a"`, `a`, `1`, `"open`, `'''open'`} {
		if got, ok := Parse([]byte(source))[0].Tokens[0].Literal(); ok {
			t.Errorf("%s is %q", source, got)
		}
	}
	if text, ok := Text(Parse([]byte("'a' \\\n\"b\""))[0].Tokens); !ok || text != "ab" {
		t.Errorf("got %q", text)
	}
}

func TestCalls(t *testing.T) {
	tokens := Parse([]byte(`x = a.b(c, d(1), *e, k="v", **f)[g.h()] + i(j == 1)`))[0].Tokens
	var got []string
	for _, call := range Calls(tokens) {
		text := call.Name
		for _, argument := range call.Arguments {
			text += " " + argument.Name + "/"
			for _, token := range argument.Value {
				text += token.Text
			}
		}
		got = append(got, text)
	}
	want := []string{`a.b /c /d(1) k/"v"`, "d /1", "g.h", "i /j==1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	call, ok := ParseCall(tokens[2:])
	if !ok || len(call.Rest) == 0 || call.Argument("k", -1)[0].Text != `"v"` || call.Argument("", 1)[0].Text != "d" || call.Argument("z", 9) != nil {
		t.Errorf("got %v", call)
	}
	for _, source := range []string{"a(b", "(a)", "a", "1(2)", "a[0]()"} {
		if call, ok := ParseCall(Parse([]byte(source))[0].Tokens); ok {
			t.Errorf("%s is a call of %s", source, call.Name)
		}
	}
}

// FuzzParse holds that every input ends, that tokens are the source's own text in
// its order, and that their lines are in it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"import os\nif a:\n  b = f(1)\n", `f"{a["b"]:>{w}}"`, "x = '''\n", "def f(\n", "\\\n\\", "\ufeff\r\n\f\t x", "f'{f\"{f'''{", "a;b;:", "lambda: (lambda: x)",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		text := strings.TrimPrefix(string(source), "\ufeff")
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
		at := 0
		var walk func(statements []*Statement)
		walk = func(statements []*Statement) {
			for _, statement := range statements {
				if len(statement.Tokens) == 0 {
					t.Fatal("a statement without tokens")
				}
				for _, token := range statement.Tokens {
					found := strings.Index(text[at:], token.Text)
					if token.Text == "" || found < 0 {
						t.Fatalf("the token %q is not in the source after %d", token.Text, at)
					}
					if token.Line < statement.Line || token.Line > 1+strings.Count(text, "\n") {
						t.Fatalf("the token %q is in line %d", token.Text, token.Line)
					}
					at += found + len(token.Text)
					token.Literal()
				}
				Calls(statement.Tokens)
				walk(statement.Body)
			}
		}
		walk(Parse(source))
	})
}

// What nests without an end, or is opened again and again, would take hours if it
// were not read in linear time: go test would not end.
func TestParseOfWhatNests(t *testing.T) {
	for _, part := range []string{`f"{`, `f"{"`, "(", "f'''{", "a(", "if a:\n", "f\"{\n", "lambda:", "\\\n", "{:", `f"{a:{`} {
		for _, statement := range Parse([]byte(strings.Repeat(part, 200_000/len(part)))) {
			Calls(statement.Tokens)
		}
	}
}

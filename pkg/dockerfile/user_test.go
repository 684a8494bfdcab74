package dockerfile

import "testing"

func TestRunAs(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		want  RunAs
		known bool
	}{
		"numbers":               {"FROM a\nUSER 10001:10002\n", RunAs{10001, 10002, 2}, true},
		"no group":              {"FROM a\nUSER 10001\n", RunAs{10001, -1, 2}, true},
		"the last one":          {"FROM a\nUSER 1\nUSER 2:0\n", RunAs{2, 0, 3}, true},
		"of an earlier stage":   {"FROM a AS b\nUSER 7\nFROM b\n", RunAs{7, -1, 2}, true},
		"of a stage beside it":  {"FROM a AS b\nUSER 7\nFROM scratch\nCOPY --from=b /x /\n", RunAs{0, -1, 0}, true},
		"an argument":           {"FROM a\nARG UID=5\nUSER $UID:$UID\n", RunAs{5, 5, 3}, true},
		"root":                  {"FROM a\nUSER root\n", RunAs{0, -1, 2}, true},
		"root and a group":      {"FROM a\nUSER 0:app\n", RunAs{0, -1, 2}, true},
		"a name":                {"FROM a\nUSER app\n", RunAs{0, -1, 2}, false},
		"a name with a group":   {"FROM a\nUSER app:5\n", RunAs{0, 5, 2}, false},
		"a group that is named": {"FROM a\nUSER 5:app\n", RunAs{5, 0, 2}, false},
		"unknown argument":      {"FROM a\nARG UID\nUSER $UID\n", RunAs{0, -1, 3}, false},
		"too large":             {"FROM a\nUSER 4294967295\n", RunAs{0, -1, 2}, false},
		"nothing":               {"FROM a\n", RunAs{0, -1, 0}, false},
		"nothing, from scratch": {"FROM scratch\n", RunAs{0, -1, 0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse("Dockerfile", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			stage, err := parsed.Target("")
			if err != nil {
				t.Fatal(err)
			}
			got, known := stage.RunAs()
			if known != test.known || known && got != test.want {
				t.Errorf("got %+v, %t, want %+v, %t", got, known, test.want, test.known)
			}
		})
	}
}

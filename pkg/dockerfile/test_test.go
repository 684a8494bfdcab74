package dockerfile

import (
	"slices"
	"strings"
	"testing"
)

func TestTheTestOfADockerfile(t *testing.T) {
	for name, test := range map[string]struct {
		dockerfile string
		target     string
		ok         bool
		command    []string
	}{
		"no such stage":           {"FROM a\n", "", false, nil},
		"instructions alone":      {"FROM a AS run\nFROM run AS test\nRUN pytest\nFROM run\n", "", true, nil},
		"exec form":               {"FROM a AS run\nFROM run AS Test\nCMD [\"pytest\", \"-q\"]\nFROM run\n", "", true, []string{"pytest", "-q"}},
		"shell form":              {"FROM a AS run\nFROM run AS test\nCMD pytest -q && echo  done\nFROM run\n", "", true, []string{"/bin/sh", "-c", "pytest -q && echo  done"}},
		"another shell":           {"FROM a AS run\nFROM run AS test\nSHELL [\"bash\", \"-ec\"]\nCMD pytest\nFROM run\n", "", true, []string{"bash", "-ec", "pytest"}},
		"both":                    {"FROM a AS run\nFROM run AS test\nCMD [\"-q\"]\nENTRYPOINT [\"pytest\"]\nFROM run\n", "", true, []string{"pytest", "-q"}},
		"an entrypoint's shell":   {"FROM a AS run\nFROM run AS test\nENTRYPOINT pytest\nCMD [\"-q\"]\nFROM run\n", "", true, []string{"/bin/sh", "-c", "pytest"}},
		"the base's is not taken": {"FROM a AS run\nCMD [\"serve\"]\nFROM run AS test\nRUN pytest\nFROM run\n", "", true, nil},
		"behind the target":       {"FROM a AS run\nFROM run AS test\nRUN pytest\n", "run", true, nil},
		"the target itself":       {"FROM a AS run\nFROM run AS test\nRUN pytest\n", "", false, nil},
		"by its number":           {"FROM a AS run\nFROM run AS test\nRUN pytest\n", "1", false, nil},
		"the base of the image":   {"FROM a AS test\nFROM test\n", "", false, nil},
		"of its base":             {"FROM a AS test\nFROM test AS run\nFROM run\n", "", false, nil},
		"copied from":             {"FROM a AS test\nFROM b\nCOPY --from=test /x /x\n", "", false, nil},
		"copied from by number":   {"FROM a AS test\nFROM b\nCOPY --from=0 /x /x\n", "", false, nil},
		"mounted":                 {"FROM a AS test\nFROM b\nRUN --mount=type=bind,from=test,target=/x ls /x\n", "", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dockerfile, err := Parse("Dockerfile", []byte(test.dockerfile))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := dockerfile.Test(test.target)
			if ok != test.ok || !slices.Equal(got.Command, test.command) || ok && got.Stage != "test" {
				t.Errorf("got %+v, %t, want %t and %q", got, ok, test.ok, test.command)
			}
		})
	}
}

func TestNeeded(t *testing.T) {
	dockerfile, err := Parse("Dockerfile", []byte(
		"ARG BASE=build\nFROM a AS build\nFROM b AS unused\nFROM ${BASE} AS run\nFROM run AS test\nFROM run\nCOPY --from=alpine:3 /x /x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string][]bool{
		"":      {true, false, true, false, true},
		"TEST":  {true, false, true, true, false},
		"1":     {false, true, false, false, false},
		"other": {true, true, true, true, true},
	} {
		if got := dockerfile.Needed(target); !slices.Equal(got, want) {
			t.Errorf("%q needs %v, want %v", target, got, want)
		}
	}
}

func TestWithTest(t *testing.T) {
	pytest := Test{Stage: "test", Command: []string{"sh", "-c", `echo "<$A>" && pytest`}}
	for name, test := range map[string]struct {
		dockerfile, target string
		test               Test
		image, want        string
		fails              string
	}{
		"the last stage has no name": {
			"FROM a AS run\nFROM run AS test\nCMD x\nFROM \\\n  run \n", "", pytest, "pyflow-image",
			"FROM a AS run\nFROM run AS test\nCMD x\nFROM \\\n  run AS pyflow-image\n\nFROM test AS pyflow-test\nENV A=1 B=2\nARG PYFLOW_TEST_RUN\n" +
				`RUN ["sh","-c","echo \"<$A>\" && pytest"]` + "\n", "",
		},
		"it has one, and no line break": {
			"FROM a AS run\r\nFROM run AS test\r\nRUN pytest", "run",
			Test{Stage: "test"},
			"run",
			"FROM a AS run\r\nFROM run AS test\r\nRUN pytest\n\nFROM test AS pyflow-test\n", "",
		},
		"by its number": {
			"FROM a\r\nFROM b AS test\n", "0",
			Test{Stage: "test"},
			"pyflow-image",
			"FROM a AS pyflow-image\r\nFROM b AS test\n\nFROM test AS pyflow-test\n", "",
		},
		"the last line continues":   {"FROM a AS run\nFROM run AS test\nRUN pytest \\\n", "run", pytest, "", "", "its last line continues"},
		"there is such a stage":     {"FROM a AS run\nFROM run AS test\nFROM b AS pyflow-test\n", "run", pytest, "", "", "rename it"},
		"there is no stage to test": {"FROM a AS run\n", "run", pytest, "", "", "has no stage"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse("Dockerfile", []byte(test.dockerfile))
			if err != nil {
				t.Fatal(err)
			}
			got, image, err := parsed.WithTest(test.target, test.test, "A=1", "B=2")
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("error is %v, want %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if image != test.image || string(got.Content) != test.want {
				t.Errorf("image %q of\n%q, want %q of\n%q", image, got.Content, test.image, test.want)
			}
			if number := got.target(image); got.Stages[number].Line != parsed.Stages[parsed.target(test.target)].Line {
				t.Errorf("the stage of the image has moved to line %d", got.Stages[number].Line)
			}
		})
	}
}

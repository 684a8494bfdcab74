package dockerfile

import (
	"slices"
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

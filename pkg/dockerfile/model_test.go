package dockerfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parsed(t *testing.T, content string) *Dockerfile {
	t.Helper()
	d, err := Parse("Dockerfile", []byte(content))
	must(t, err)
	return d
}

// TestVariables has in each case the value of the label that the last stage ends with,
// and whether it is known.
func TestVariables(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		args    []string
		want    string // "?" is not known
	}{
		"no value":                          {"FROM a\nLABEL x=$A", nil, "?"},
		"ENV":                               {"FROM a\nENV A=1\nLABEL x=$A", nil, "1"},
		"ARG":                               {"FROM a\nARG A=1\nLABEL x=$A", nil, "1"},
		"ARG without a value":               {"FROM a\nARG A\nLABEL x=$A", nil, "?"},
		"ARG before FROM":                   {"ARG A=1\nFROM a\nARG A\nLABEL x=$A", nil, "1"},
		"ARG before FROM alone":             {"ARG A=1\nFROM a\nLABEL x=$A", nil, "?"},
		"ARG before FROM of another":        {"ARG A=1 B=$A\nARG C=${B}2\nFROM a\nARG C\nLABEL x=$C", nil, "?"},
		"ARG before FROM of an earlier one": {"ARG A=1\nARG B=${A}2\nFROM a\nARG B\nLABEL x=$B", nil, "12"},
		"a default in the stage wins":       {"ARG A=1\nFROM a\nARG A=2\nLABEL x=$A", nil, "2"},
		"the build's value wins":            {"ARG A=1\nFROM a\nARG A=2\nLABEL x=$A", []string{"A=3"}, "3"},
		"the build's value before FROM":     {"ARG A=1\nARG B=$A\nFROM a\nARG B\nLABEL x=$B", []string{"A=3"}, "3"},
		"the build's value, undeclared":     {"FROM a\nLABEL x=$A", []string{"A=3"}, "?"},
		"the build's value without one":     {"FROM a\nARG A=1\nLABEL x=$A", []string{"A"}, "1"},
		"ENV over ARG":                      {"FROM a\nARG A=1\nENV A=2\nLABEL x=$A", nil, "2"},
		"a later ARG over ENV":              {"FROM a\nENV A=2\nARG A=1\nLABEL x=$A", []string{"A=3"}, "3"},
		"a later ARG without a value":       {"FROM a\nENV A=2\nARG A\nLABEL x=$A", nil, "2"},
		"ENV from ARG":                      {"FROM a\nARG A=1\nENV A=${A}2\nLABEL x=$A", nil, "12"},
		"all of one ENV see the old values": {"FROM a\nENV A=1\nENV A=2 B=$A\nLABEL x=$B", nil, "1"},
		"ENV without a value hides":         {"FROM a\nARG A=1\nENV A=$B\nLABEL x=$A", nil, "?"},
		"ENV of an earlier stage":           {"FROM a AS b\nENV A=1\nFROM b\nLABEL x=$A", nil, "1"},
		"ARG of an earlier stage":           {"FROM a AS b\nARG A=1\nFROM b\nLABEL x=$A", nil, "1"},
		"of an unrelated stage":             {"FROM a AS b\nENV A=1\nFROM c\nLABEL x=$A", nil, "?"},
		"default":                           {"FROM a\nLABEL x=${A-1}${B:-2}", nil, "12"},
		"default not used":                  {"FROM a\nENV A=0\nLABEL x=${A-1}", nil, "0"},
		"default of something empty":        {"FROM a\nENV A=\nLABEL x=${A-1}${A:-2}", nil, "2"},
		"default that is a variable":        {"FROM a\nENV B=1\nLABEL x=${A:-$B}", nil, "1"},
		"default that has no value":         {"FROM a\nLABEL x=${A:-$B}", nil, "?"},
		"default without a value, not used": {"FROM a\nENV A=1\nLABEL x=${A:-$B}", nil, "1"},
		"alternative":                       {"FROM a\nENV A=1\nLABEL x=${A:+2}${B+3}", nil, "2"},
		"prefix removed":                    {"FROM a\nENV A=v3.13\nLABEL x=${A#v}", nil, "3.13"},
		"replaced":                          {"FROM a\nENV A=a-b\nLABEL x=${A/-/.}", nil, "a.b"},
		"quotes":                            {"FROM a\nENV A=1\nLABEL x=\"$A\"'$A'\\$A", nil, "1$A$A"},
		"bad substitution":                  {"FROM a\nLABEL x=${A!}", nil, "?"},
		"platform":                          {"FROM a\nARG TARGETARCH\nLABEL x=$TARGETARCH", nil, "amd64"},
		"platform of the build":             {"FROM a\nARG TARGETARCH\nLABEL x=$TARGETARCH", []string{"TARGETARCH=arm64"}, "arm64"},
		"platform without ARG":              {"FROM a\nLABEL x=$TARGETARCH", nil, "?"},
		"proxy":                             {"FROM a\nARG HTTP_PROXY\nLABEL x=$HTTP_PROXY", []string{"HTTP_PROXY=p"}, "p"},
		"triggered":                         {"FROM a AS b\nONBUILD ENV A=1\nFROM b\nLABEL x=$A", nil, "1"},
		"another escape character":          {"# escape=`\nFROM a\nENV A=1\nLABEL x=`$A", nil, "$A"},
	} {
		t.Run(name, func(t *testing.T) {
			d := parsed(t, test.content)
			if test.args != nil {
				d = d.WithBuildArgs(test.args)
			}
			steps := d.Stages[len(d.Stages)-1].Steps
			label := steps[len(steps)-1]
			_, word, _ := strings.Cut(label.Text, "x=")
			got, known := label.Expand(word)
			if !known {
				got = "?"
			}
			if got != test.want {
				t.Errorf("value is %q, want %q", got, test.want)
			}
		})
	}
}

func TestBase(t *testing.T) {
	for content, want := range map[string]string{
		"FROM python:3.13-slim":                              "python:3.13-slim",
		"ARG V\nFROM python:${V-3.13}-slim":                  "python:3.13-slim",
		"ARG V=3.12\nFROM python:${V-3.13}-slim":             "python:3.12-slim",
		"ARG V=\nFROM python:${V:-3.13}-slim":                "python:3.13-slim",
		"ARG V\nFROM python:$V":                              "python:?",
		"FROM a-${TARGETARCH}":                               "a-amd64",
		"FROM a AS B\nFROM b":                                "b<-b",
		"ARG S=B\nFROM a AS b\nFROM $S":                      "B<-b",
		"FROM a AS b\nFROM c AS b\nFROM b":                   "b<-b",
		"FROM --platform=$BUILDPLATFORM python:${V:-3}-slim": "python:3-slim",
	} {
		d := parsed(t, content)
		last := d.Stages[len(d.Stages)-1]
		got := last.Base
		if !last.Known {
			got += "?"
		}
		if last.Parent != nil {
			got += "<-" + last.Parent.Name
		}
		if got != want {
			t.Errorf("%q: base is %q, want %q", content, got, want)
		}
	}
}

func TestExpose(t *testing.T) {
	for content, want := range map[string][]int{
		"FROM a\nENV PORT=9000\nEXPOSE ${PORT-8000}":               {9000},
		"FROM a\nEXPOSE ${PORT-8000}":                              {8000},
		"FROM a\nARG PORT=9000\nEXPOSE ${PORT:-8000}/tcp":          {9000},
		"FROM a\nENV P='1 2'\nEXPOSE $P 3":                         {1, 2, 3},
		"FROM a AS b\nEXPOSE 2\nFROM b\nEXPOSE 1\nEXPOSE 2 1":      {2, 1},
		"FROM a AS b\nONBUILD EXPOSE 1\nFROM b AS c\nFROM c":       {1},
		"FROM a AS b\nONBUILD EXPOSE 1\nFROM c\nCOPY --from=b / /": nil,
	} {
		d := parsed(t, content)
		if got := d.Stages[len(d.Stages)-1].Expose; !slices.Equal(got, want) {
			t.Errorf("%q exposes %v, want %v", content, got, want)
		}
	}
}

// show returns the configuration of the last stage in one line.
func show(d *Dockerfile) string {
	last := d.Stages[len(d.Stages)-1]
	var shown []string
	for name, setting := range map[string]Setting{"user": last.User, "workdir": last.Workdir} {
		if setting.Step != nil {
			shown = append(shown, fmt.Sprintf("%s=%s:%t@%d", name, setting.Value, setting.Known, setting.Step.Line))
		}
	}
	for name, process := range map[string]*Process{"entrypoint": last.Entrypoint, "cmd": last.Cmd, "healthcheck": last.Healthcheck} {
		if process != nil {
			shown = append(shown, fmt.Sprintf("%s=%q:%t@%d", name, process.Args, process.ShellForm, process.Step.Line))
		}
	}
	slices.Sort(shown)
	return strings.Join(shown, " ")
}

func TestConfig(t *testing.T) {
	for content, want := range map[string]string{
		"FROM a":                                                     "",
		"FROM a\nUSER b:$C\nUSER 1":                                  "user=1:true@3",
		"FROM a\nUSER $C":                                            "user=:false@2",
		"FROM a\nENV C=2\nUSER $C":                                   "user=2:true@3",
		"FROM a AS b\nUSER 1\nFROM b\nWORKDIR x":                     "user=1:true@2 workdir=/x:true@4",
		"FROM a\nWORKDIR /a\nWORKDIR b/../c":                         "workdir=/a/c:true@3",
		"FROM a\nCMD [\"b\", \"c d\"]":                               `cmd=["b" "c d"]:false@2`,
		"FROM a\nCMD b  $C":                                          `cmd=["/bin/sh" "-c" "b  $C"]:true@2`,
		"FROM a\nCMD ['b']":                                          `cmd=["/bin/sh" "-c" "['b']"]:true@2`,
		"FROM a AS b\nSHELL [\"bash\", \"-ec\"]\nFROM b\nCMD c":      `cmd=["bash" "-ec" "c"]:true@4`,
		"FROM a AS b\nCMD c\nFROM b\nENTRYPOINT [\"d\"]":             `entrypoint=["d"]:false@4`,
		"FROM a AS b\nENTRYPOINT [\"d\"]\nFROM b\nCMD [\"c\"]":       `cmd=["c"]:false@4 entrypoint=["d"]:false@2`,
		"FROM a\nCMD [\"c\"]\nENTRYPOINT [\"d\"]":                    `cmd=["c"]:false@2 entrypoint=["d"]:false@3`,
		"FROM a AS b\nHEALTHCHECK CMD c d\nFROM b":                   `healthcheck=["CMD-SHELL" "c d"]:true@2`,
		"FROM a AS b\nHEALTHCHECK CMD c d\nFROM b\nHEALTHCHECK NONE": `healthcheck=["NONE"]:false@4`,
	} {
		if got := show(parsed(t, content)); got != want {
			t.Errorf("%q: got %s, want %s", content, got, want)
		}
	}
}

func TestLayers(t *testing.T) {
	d := parsed(t, "ARG A=1\nFROM a AS base\nRUN b\nFROM c AS other\nRUN d\nFROM base AS run\nRUN e\n")
	for target, want := range map[string][]int{"": {2, 3, 6, 7}, "other": {4, 5}, "none": nil} {
		var got []int
		for _, instruction := range d.Layers(target) {
			got = append(got, instruction.Line)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: lines %v, want %v", target, got, want)
		}
	}
}

// TestCommands has for the last instruction each command with the place of its first word.
func TestCommands(t *testing.T) {
	for content, want := range map[string][]string{
		"FROM a\nRUN --mount=type=cache,target=/x \\\n  # why\n  b \\\n  && é c": {"4:3 b", "5:6 é"},
		"FROM a\nRUN <<EOF\nb\n  c\nEOF":                                         {"3:1 b", "4:3 c"},
		"FROM a\nCMD [\"é\", \"c\"]":                                             {"2:6 é"},
		"FROM a\nENTRYPOINT exec b":                                              {"2:17 b"},
		"FROM a AS x\nONBUILD RUN b\nFROM x":                                     {"2:13 b"},
		"# escape=`\r\nFROM a\r\nRUN b `\r\n && c\r\n":                           {"3:5 b", "4:5 c"},
		"FROM a\nCOPY b c":                                                       nil,
		"FROM a\nRUN b \\":                                                       {"2:5 b"},
	} {
		d := parsed(t, content)
		steps := d.Stages[len(d.Stages)-1].Steps
		commands, script := d.Commands(steps[len(steps)-1])
		var got []string
		for _, command := range commands {
			line, column := script.Position(command.Words[0].Start)
			got = append(got, fmt.Sprintf("%d:%d %s", line, column, command.Name()))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
	}
}

package dockerfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(content), 0o600))
}

func TestReadDockerfile(t *testing.T) {
	type stage struct {
		name, base string
		line       int
	}
	tests := map[string]struct {
		content string
		stages  []stage
		expose  []int
	}{
		"one stage": {
			content: "FROM python:3.13-slim\nEXPOSE 8000\n",
			stages:  []stage{{"", "python:3.13-slim", 1}},
			expose:  []int{8000},
		},
		"the final stage counts": {
			content: "# syntax=docker/dockerfile:1\n\nFROM a AS Build\nEXPOSE 1\nFROM b\nCOPY --from=build /x /x\nEXPOSE 9000/tcp 80 53/udp\nEXPOSE 443/TCP 80\n",
			stages:  []stage{{"build", "a", 3}, {"", "b", 5}},
			expose:  []int{80, 9000, 443},
		},
		"inherited from a stage": {
			content: "FROM a AS base\nENV PORT=8080\nEXPOSE 1000\nFROM base AS final\nEXPOSE $PORT\n",
			stages:  []stage{{"base", "a", 1}, {"final", "base", 4}},
			expose:  []int{1000, 8080},
		},
		"variables": {
			content: "ARG TAG=3.13\nARG PORT=7000\nFROM python:${TAG}-slim\nARG PORT\nARG OTHER=${PORT}\nENV A=\"7001\" B=${C:-7002}\n" +
				"EXPOSE $PORT ${A}/tcp $B ${D:-7003} $OTHER\n",
			stages: []stage{{"", "python:3.13-slim", 3}},
			expose: []int{7000, 7001, 7002, 7003},
		},
		"variables without a value": {
			content: "ARG GLOBAL=1\nFROM a\nARG PORT\nEXPOSE $PORT $GLOBAL 80 $UNKNOWN\n",
			stages:  []stage{{"", "a", 2}},
			expose:  []int{80},
		},
		"arguments are inherited, the later of ARG and ENV wins": {
			content: "FROM a AS base\nARG P=1\nENV Q=2\nFROM base\nARG P Q=3\nEXPOSE $P $Q\n",
			stages:  []stage{{"base", "a", 1}, {"", "base", 4}},
			expose:  []int{1, 3},
		},
		"ranges and nonsense": {
			content: "FROM a\nEXPOSE 8000-8002 70000 0 x 9-8 5-\nEXPOSE 65535-65535\n",
			stages:  []stage{{"", "a", 1}},
			expose:  []int{8000, 8001, 8002, 65535},
		},
		"windows line ends, continued lines, heredoc": {
			content: "FROM a\r\nRUN a \\\r\n  && b\r\nRUN <<EOF\nEXPOSE 1\nEOF\nEXPOSE 2\r\n",
			stages:  []stage{{"", "a", 1}},
			expose:  []int{2},
		},
		"nothing exposed": {
			content: "FROM scratch\n",
			stages:  []stage{{"", "scratch", 1}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "Dockerfile", test.content)
			got, err := Read(dir, "")
			must(t, err)
			var stages []stage
			for _, s := range got.Stages {
				stages = append(stages, stage{s.Name, s.Base, s.Line})
			}
			if got.Path != "Dockerfile" || !slices.Equal(stages, test.stages) {
				t.Errorf("stages of %s are %+v, want %+v", got.Path, stages, test.stages)
			}
			if expose := got.Stages[len(got.Stages)-1].Expose; !slices.Equal(expose, test.expose) {
				t.Errorf("exposes %v, want %v", expose, test.expose)
			}
		})
	}
}

func TestReadDockerfileParseErrors(t *testing.T) {
	tests := map[string]struct {
		content string
		line    int
		text    string
		says    string
	}{
		"unknown instruction": {
			content: "FROM a\n\n# comment\nRUNN pip install\r\n",
			line:    4, text: "RUNN pip install", says: "docker/Dockerfile:4: unknown instruction: RUNN",
		},
		"a flag":        {content: "FROM a\nCOPY --form=b c d\n", line: 2, text: "COPY --form=b c d", says: "docker/Dockerfile:2: unknown flag: --form"},
		"no arguments":  {content: "FROM a\nRUN x \\\n y\nCOPY x\n", line: 4, text: "COPY x", says: "docker/Dockerfile:4: COPY requires at least two arguments"},
		"before FROM":   {content: "RUN x\nFROM a\n", line: 1, text: "RUN x", says: "docker/Dockerfile:1: no build stage in current context"},
		"open heredoc":  {content: "FROM a\nRUN <<EOF\nx\n", line: 2, text: "RUN <<EOF", says: "docker/Dockerfile:2: unterminated heredoc"},
		"empty":         {content: "", says: "docker/Dockerfile: file with no instructions"},
		"only comments": {content: "# nothing\n", line: 1, text: "# nothing", says: "docker/Dockerfile:1: file with no instructions"},
		"only ARG":      {content: "ARG A=1\n", says: "docker/Dockerfile: there is no FROM instruction"},
		"ENV, no value": {content: "FROM a\nENV A\n", line: 2, text: "ENV A", says: "docker/Dockerfile:2: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "docker/Dockerfile", test.content)
			_, err := Read(dir, "docker/Dockerfile")
			var failure *ParseError
			if !errors.As(err, &failure) {
				t.Fatalf("error is %v", err)
			}
			if failure.Line != test.line || failure.Text != test.text || !strings.HasPrefix(err.Error(), test.says) {
				t.Errorf("error is %q at %d: %q, want %q at %d: %q", err, failure.Line, failure.Text, test.says, test.line, test.text)
			}
		})
	}
	t.Run("the cause is kept", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "Dockerfile", "FRM a\n")
		_, err := Read(dir, "")
		var unknown *instructions.UnknownInstructionError
		if !errors.As(err, &unknown) || unknown.Instruction != "FRM" {
			t.Errorf("error is %v", err)
		}
	})
}

func TestReadDockerfilePath(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "app")
	write(t, dir, "docker/api.Dockerfile", "FROM a\n")
	write(t, dir, "sub/Dockerfile/file", "")
	write(t, parent, "Dockerfile", "FROM a\n")
	write(t, parent, "app-more/Dockerfile", "FROM a\n")
	must(t, os.Symlink("docker/api.Dockerfile", filepath.Join(dir, "inside")))
	must(t, os.Symlink(filepath.Join(dir, "docker/api.Dockerfile"), filepath.Join(dir, "inside-absolute")))
	must(t, os.Symlink("../Dockerfile", filepath.Join(dir, "outside")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(t, os.Symlink("app", filepath.Join(parent, "alias")))

	good := map[string][2]string{
		"relative":           {dir, "docker/api.Dockerfile"},
		"unclean":            {dir, "./docker/../docker//api.Dockerfile"},
		"absolute":           {dir, filepath.Join(dir, "docker/api.Dockerfile")},
		"link":               {dir, "inside"},
		"absolute link":      {dir, "inside-absolute"},
		"through an alias":   {filepath.Join(parent, "alias"), "docker/api.Dockerfile"},
		"alias, link":        {filepath.Join(parent, "alias"), "inside-absolute"},
		"relative to itself": {".", "docker/api.Dockerfile"},
		"relative, absolute": {".", filepath.Join(dir, "docker/api.Dockerfile")},
		"relative, link":     {".", "inside-absolute"},
	}
	t.Chdir(dir)
	for name, test := range good {
		got, err := Read(test[0], test[1])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if want := map[string]string{"inside": "inside", "inside-absolute": "inside-absolute"}[test[1]]; got.Path != want && (want != "" || got.Path != "docker/api.Dockerfile") {
			t.Errorf("%s: path is %q", name, got.Path)
		}
	}
	bad := map[string]struct {
		dir, name string
		want      error
	}{
		"none":                  {dir, "", ErrNotFound},
		"none of that name":     {dir, "docker/Dockerfile", ErrNotFound},
		"dangling link":         {dir, "dangling", ErrNotFound},
		"above":                 {dir, "../Dockerfile", ErrOutside},
		"absolute":              {dir, filepath.Join(parent, "Dockerfile"), ErrOutside},
		"absolute, same prefix": {dir, filepath.Join(parent, "app-more/Dockerfile"), ErrOutside},
		"link that leaves":      {dir, "outside", ErrOutside},
		"no directory":          {filepath.Join(parent, "no"), "", os.ErrNotExist},
	}
	for name, test := range bad {
		if _, err := Read(test.dir, test.name); !errors.Is(err, test.want) {
			t.Errorf("%s: error is %v, want %v", name, err, test.want)
		}
	}
	if _, err := Read(dir, "sub/Dockerfile"); err == nil || !strings.Contains(err.Error(), "Dockerfile is not a file") {
		t.Errorf("a directory: error is %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("ARG A=1\nFROM a$A AS b\nENV X=${A:-2}\nEXPOSE $X 1-3/tcp\nFROM b\nRUN <<E\nx\nE\n"))
	f.Add([]byte("# escape=`\nFROM a\nRUNN"))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := Parse("Dockerfile", content)
		if err == nil {
			if len(got.Stages) == 0 {
				t.Error("no stages")
			}
			for _, stage := range got.Stages {
				for _, port := range stage.Expose {
					if port < 1 || port > 65535 {
						t.Errorf("port %d", port)
					}
				}
			}
			return
		}
		var failure *ParseError
		if !errors.As(err, &failure) || failure.Line < 0 {
			t.Errorf("error is %v", err)
		}
	})
}

func TestInstructions(t *testing.T) {
	got, err := Parse("Dockerfile", []byte("ARG V=1\nFROM a AS b\nARG V\nARG W=2 X\n# comment\nRUN one \\\n  && two\nFROM b\nCMD [\"c\"]\n"))
	must(t, err)
	want := []Instruction{
		{"ARG", 1, 1, -1, "ARG V=1", ""},
		{"FROM", 2, 2, 0, "FROM a AS b", ""},
		{"ARG", 3, 3, 0, "ARG V", ""},
		{"ARG", 4, 4, 0, "ARG W=2 X", ""},
		{"RUN", 6, 7, 0, "RUN one   && two", ""},
		{"FROM", 8, 8, 1, "FROM b", ""},
		{"CMD", 9, 9, 1, `CMD ["c"]`, ""},
	}
	if !slices.Equal(got.Instructions, want) {
		t.Errorf("got %+v, want %+v", got.Instructions, want)
	}
	if excerpt := got.Excerpt(got.Instructions[4]); !slices.Equal(excerpt, []string{"RUN one \\", "  && two"}) {
		t.Errorf("excerpt is %q", excerpt)
	}
	if !slices.Equal(got.Args, []string{"V", "W", "X"}) {
		t.Errorf("arguments are %v", got.Args)
	}
}

func TestTarget(t *testing.T) {
	dockerfile, err := Parse("Dockerfile", []byte("FROM a AS Base\nEXPOSE 1\nFROM base AS test\nFROM base\nEXPOSE 2\n"))
	must(t, err)
	for target, line := range map[string]int{"": 4, "base": 1, "TEST": 3, "0": 1, "2": 4} {
		stage, err := dockerfile.Target(target)
		if err != nil || stage.Line != line {
			t.Errorf("%q: got %+v, %v", target, stage, err)
		}
	}
	for _, target := range []string{"tset", "3", "-1"} {
		_, err := dockerfile.Target(target)
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(target)) || !strings.Contains(err.Error(), "base, test") {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestCheckBuildArgs(t *testing.T) {
	dockerfile, err := Parse("Dockerfile", []byte("ARG TAG\nFROM a:$TAG\nARG INDEX=x\n"))
	must(t, err)
	must(t, dockerfile.CheckBuildArgs([]string{"TAG=1", "INDEX=y=z", "HTTPS_PROXY=p", "no_proxy=p"}))
	err = dockerfile.CheckBuildArgs([]string{"TAG=1", "INDX=secret"})
	if err == nil || !strings.Contains(err.Error(), "no ARG INDX") || !strings.Contains(err.Error(), "TAG, INDEX") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error is %v", err)
	}
}

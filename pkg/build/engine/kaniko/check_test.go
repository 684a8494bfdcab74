package kaniko

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// hashes finds the hashes of heredocs and mounts.
var hashes = regexp.MustCompile(`(#|_|-)(?:[0-9a-f]{12}|H\b)|(# )(?:[0-9a-f]{12})`)

const pinned = "v1.27.5"

// check checks the text of a Dockerfile.
func check(t *testing.T, text string, source engine.Source) engine.Conformance {
	t.Helper()
	parsed, err := dockerfile.Parse("Dockerfile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	source.Dockerfile = parsed.WithBuildArgs(source.BuildArgs)
	if source.Targets == nil {
		source.Targets = []string{""}
	}
	found, err := Engine{}.Check(pinned, source)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func rows(remarks []engine.Remark) string {
	var ids []string
	for _, remark := range remarks {
		ids = append(ids, remark.Row)
	}
	return strings.Join(ids, " ")
}

// TestRewrites checks what each row makes of a Dockerfile.
func TestRewrites(t *testing.T) {
	context := fstest.MapFS{
		"app/main.py": {Mode: 0o644}, "app/run.sh": {Mode: 0o755}, "main.py": {Mode: 0o644},
		"app/abs": {Mode: fs.ModeSymlink, Data: []byte("/main.py")},
		"link.py": {Mode: fs.ModeSymlink, Data: []byte("app/main.py")}, "dir": {Mode: fs.ModeSymlink, Data: []byte("app")},
		"data.gz": {Mode: 0o644, Data: []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")},
	}
	for name, test := range map[string]struct{ in, want, rows string }{
		"script": {
			"FROM a\nRUN <<EOF\nx=1\necho $x\nEOF\nCMD x\n",
			"FROM a\nRUN # <<#8b64aab17bec\nx=1\necho $x\n#8b64aab17bec\nCMD x\n", "run-heredoc",
		},
		"script, quoted, without tabs": {
			"FROM a\nRUN --mount=type=secret,id=a \\\n  <<-'S'\n\techo 1\n\tS\nCMD x\n",
			"FROM a\nRUN --mount=type=secret,id=a \\\n  # <<#6b3a6a4a3b2c\necho 1\n#6b3a6a4a3b2c\nCMD x\n", "run-heredoc",
		},
		"script of a shell without comments": {
			"FROM a\nSHELL [\"node\",\"-e\"]\nRUN <<EOF\nconsole.log(\"<a>\")\nEOF\nUSER x\n",
			"FROM a\nSHELL [\"node\",\"-e\"]\nRUN [\"node\",\"-e\",\"console.log(\\\"<a>\\\")\\n\"]\n\n\nUSER x\n", "run-heredoc",
		},
		"program": {
			"FROM a\nRUN <<S\n#!/usr/bin/env python3\nprint(1)\nS\n",
			"FROM a\nRUN d=$(mktemp -d) && cat >\"$d/S\" <<'PYFLOW_H' && chmod -R 0755 \"$d\" && { \"$d/S\"; r=$?; rm -rf \"$d\"; exit $r; }\n#!/usr/bin/env python3\nprint(1)\nPYFLOW_H\n", "run-heredoc",
		},
		"input": {
			"FROM a\nRUN python3 <<EOF\nprint(1)\nEOF\n",
			"FROM a\nRUN python3 <<EOF # H\nprint(1)\nEOF\n", "run-heredoc-input",
		},
		"documents": {
			"FROM a\nARG V=1\nCOPY <<a.txt <<-'b.txt' /x/\nv=$V\na.txt\n\tv=$V\n\tb.txt\n",
			"FROM a\nARG V=1\nCOPY <<'a.txt' <<'b.txt' /x/${PYFLOW_H:+}\nv=1\na.txt\nv=$V\nb.txt\n", "copy-heredoc",
		},
		"bind": {
			"FROM a\nWORKDIR /app\nRUN --mount=type=cache,target=/root/.cache/uv \\\n    --mount=type=bind,source=uv.lock,target=uv.lock \\\n    uv sync\n",
			"FROM a\nWORKDIR /app\nRUN --mount=type=cache,target=/root/.cache/uv \\\n    --mount=type=bind,source=uv.lock,target=/app/uv.lock \\\n    uv sync\n", "run-mount-bind",
		},
		"bind from": {
			"FROM b AS build\nRUN make\nFROM a\nRUN --mount=from=ghcr.io/astral-sh/uv:0.8,source=/uv,target=/bin/uv --mount=type=bind,from=build,source=wheels,target=/wheels uv\n",
			"FROM b AS build\nRUN make\nFROM a AS pyflow-image\nRUN --mount=source=../deps/ghcr.io/astral-sh/uv:0.8/uv,target=/bin/uv --mount=type=bind,source=../deps/0/wheels,target=/wheels uv\n\n" +
				"FROM scratch AS pyflow-mounts\nCOPY --from=0 [\"/wheels\",\"/kaniko/pyflow-mounts/\"]\nCOPY --from=ghcr.io/astral-sh/uv:0.8 [\"/uv\",\"/kaniko/pyflow-mounts/\"]",
			"run-mount-bind-from",
		},
		"tmpfs": {
			"FROM a\nRUN --mount=type=tmpfs,target=/t,size=10m x\n",
			"FROM a\nRUN --mount=type=cache,target=/t,id=tmpfs-2-H,mode=1777 x\n", "run-mount-tmpfs",
		},
		"secret": {
			"FROM a\nRUN --mount=type=secret,source=token,env=TOKEN x\n",
			"FROM a\nRUN --mount=type=secret,id=token,env=TOKEN x\n", "run-mount-secret",
		},
		"modes": {
			"FROM a\nCOPY --chmod=u=rwX,go=rX . /app/\nCOPY --chmod=a=rx main.py /x\nCOPY --from=b --chmod=a=r /f /f\n",
			"FROM a\nCOPY . /app/\nCOPY --chmod=0555 main.py /x\nCOPY --from=b --chmod=0444 /f /f\n", strings.TrimSpace(strings.Repeat("copy-chmod-symbolic ", 3)),
		},
		"links": {
			"FROM a\nCOPY link.py /x\nCOPY link.py /y/\nCOPY dir /z/\nADD [\"link.py\", \"/w\"]\n",
			"FROM a\nCOPY app/main.py /x\nCOPY app/main.py /y/link.py\nCOPY app /z/\nADD [\"app/main.py\", \"/w\"]\n", strings.TrimSpace(strings.Repeat("copy-symlink ", 4)),
		},
		"absolute link": {
			"FROM a\nCOPY app/abs /x\n", "FROM a\nCOPY main.py /x\n", "copy-symlink",
		},
		"compressed": {"FROM a\nADD data.gz /x/\n", "FROM a\nCOPY data.gz /x/\n", "add-archive-xz"},
		"unpack":     {"FROM a\nADD --unpack=false a.tar /x/\n", "FROM a\nCOPY a.tar /x/\n", "add-unpack"},
		"url": {
			"FROM a\nUSER app\nADD https://example.org/a /x/\n", "FROM a\nUSER app\nADD --chown=0:0 https://example.org/a /x/\n", "add-url",
		},
		"volume": {
			"FROM a\nVOLUME /data\nRUN x\n", "FROM a\n\nRUN x\nVOLUME [\"/data\"]\n", "volume",
		},
		"volume at the end": {"FROM a\nRUN x\nVOLUME /data\nCMD x\n", "FROM a\nRUN x\nVOLUME /data\nCMD x\n", ""},
		"ports":             {"FROM a\nEXPOSE 8000-8002/TCP 53/udp\n", "FROM a\nEXPOSE 53/udp 8000/tcp 8001/tcp 8002/tcp\n", "expose"},
		"dropped CMD":       {"FROM a AS b\nCMD x\nFROM b\nENTRYPOINT y\n", "FROM a AS b\n\nFROM b\nENTRYPOINT y\n", "cmd-entrypoint"},
		"workdir":           {"FROM a\nUSER app\nWORKDIR /srv/a/b/\n", "FROM a\nUSER app\nWORKDIR /srv\nWORKDIR /srv/a\nWORKDIR /srv/a/b\n", "workdir"},
		"date":              {"FROM a\nRUN touch -d 2020-01-01 /x\n", "FROM a\nRUN touch -d 2020-01-01 /x\n", ""},
		"shell forms":       {"FROM a\nSHELL [\"ash\", \"-ec\"]\nCMD run \"$A\"\nENTRYPOINT [\"x\"]\n", "FROM a\nSHELL [\"ash\", \"-ec\"]\nCMD [\"ash\",\"-ec\",\"run \\\"$A\\\"\"]\nENTRYPOINT [\"x\"]\n", "shell-forms"},
		"user by default":   {"FROM a\nARG G=2\nUSER ${U:-1}:${G}\n", "FROM a\nARG G=2\nUSER 1:2\n", "user-variable"},
		"owner, by useradd": {
			"FROM a\nRUN groupadd -g 99 team && useradd -mr -g team -u 7 app\nCOPY --chown=app . /x\nUSER app\nWORKDIR /srv/app\n",
			"FROM a\nRUN groupadd -g 99 team && useradd -mr -g team -u 7 app\nCOPY --chown=app:team . /x\nUSER app\nUSER app:team\nWORKDIR /srv\nWORKDIR /srv/app\nUSER app\n", "copy-chown-user workdir",
		},
		"owner, by Debian": {
			"FROM a AS b\nRUN adduser --disabled-password --gecos '' app\nFROM b\nCOPY --chown=app main.py /x\n",
			"FROM a AS b\nRUN adduser --disabled-password --gecos '' app\nFROM b\nCOPY --chown=app:app main.py /x\n", "copy-chown-user",
		},
		"owner, by Alpine": {
			"FROM a\nARG U=app\nRUN addgroup -S g && adduser -S $U -G g; adduser $U wheel\nCOPY --chown=\"$U\" main.py /x\n",
			"FROM a\nARG U=app\nRUN addgroup -S g && adduser -S $U -G g; adduser $U wheel\nCOPY --chown=app:g main.py /x\n", "copy-chown-user",
		},
		"owner, by hand": {
			"FROM a\nRUN echo 'app:x:12:34:App:/:/bin/sh' >> /etc/passwd\nCOPY --chown=app main.py /x\n",
			"FROM a\nRUN echo 'app:x:12:34:App:/:/bin/sh' >> /etc/passwd\nCOPY --chown=app:34 main.py /x\n", "copy-chown-user",
		},
		"nothing": {"FROM a\nWORKDIR /app\nCOPY . .\nRUN x\n", "FROM a\nWORKDIR /app\nCOPY . .\nRUN x\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := check(t, test.in, engine.Source{Context: context, Mode: func(mode fs.FileMode) fs.FileMode {
				if mode.IsDir() {
					return fs.ModeDir | 0o755 // fstest makes directories with 0555
				}
				return mode
			}})
			if len(found.Refusals) > 0 {
				t.Fatalf("refused: %+v", found.Refusals)
			}
			want := test.want
			if diff := cmp.Diff(withoutHashes(want), withoutHashes(string(found.Text))); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			if got := rows(found.Rewrites); got != test.rows {
				t.Errorf("rows are %q, want %q", got, test.rows)
			}
			if found.Rewritten != (test.in != string(found.Text)) {
				t.Error("Rewritten is wrong")
			}
		})
	}
}

// TestNotes checks what is said about results that differ.
func TestNotes(t *testing.T) {
	context := fstest.MapFS{"a.txt": {}, "dir/b.txt": {}}
	for text, want := range map[string]string{
		"FROM a\nUSER app\nWORKDIR /usr/app\nCOPY . .\n":                                         "copy-directory-owner",
		"FROM a\nUSER app\nCOPY a.txt /home/app/\nCOPY --chown=app:app dir /x/\n":                "",
		"FROM a\nCOPY . /app/\n":                                                                 "",
		"FROM a\nUSER 1001\nRUN x\n":                                                             "run-user",
		"FROM a\nUSER app:team\nRUN x\n":                                                         "run-user-group",
		"FROM a\nRUN --mount=type=cache,target=/x y\n":                                           "run-mount-cache",
		"FROM a\nCOPY --chown=app a.txt /\n":                                                     "copy-chown-base",
		"FROM a\nCOPY --chown=www-data a.txt /\n":                                                "",
		"FROM a\nUSER app\nWORKDIR /srv\n":                                                       "workdir-group",
		"FROM a\nUSER node\nWORKDIR /srv\n":                                                      "",
		"FROM a\nCOPY --chmod=0644 a.txt dir/b.txt /x/\n":                                        "copy-chmod-several",
		"FROM a\nWORKDIR /x\nCOPY --chmod=0644 a.txt dir/b.txt ./\n":                             "",
		"FROM a\nCOPY --chmod=0700 dir /x/\n":                                                    "",
		"FROM a\nRUN find / -name x\n":                                                           "visible-paths",
		"FROM a\nRUN --mount=type=bind,target=/src touch /src/x\n":                               "run-mount-bind-writes",
		"FROM a\nRUN --mount=type=bind,target=/src echo 1 >> /src/x\n":                           "run-mount-bind-writes",
		"FROM a\nRUN --mount=type=bind,rw,target=/src touch /src/x\n":                            "",
		"FROM a\nRUN --mount=type=bind,target=/src cp -r /src /x\n":                              "",
		"FROM a\nCOPY --from=node:22 /usr/local/bin/npm /usr/local/bin/\n":                       "copy-symlink-from",
		"FROM a\nCOPY --from=b /lib/x86_64-linux-gnu/libz.so.1 /lib/\n":                          "copy-symlink-from",
		"FROM a\nCOPY --from=ghcr.io/astral-sh/uv /uv /uvx /bin/\n":                              "",
		"FROM a AS b\nRUN chown -R 1:1 /out\nFROM a\nCOPY --from=b /out/ /o\n":                   "copy-from-owner",
		"FROM a AS b\nRUN chown -R 1:1 /data\nFROM a\nCOPY --from=b /out /o\n":                   "",
		"FROM a AS b\nUSER 0\nRUN make\nFROM a\nCOPY --from=b /out /o\n":                         "",
		"FROM a AS b\nRUN chmod u+s /su; chown x /su\nFROM a\nCOPY --from=b --chown=0:0 /su /\n": "copy-from-special",
		"FROM a\nADD https://example.org/a /a\n":                                                 "add-url",
		"FROM a\nMAINTAINER x\nHEALTHCHECK --start-interval=1s CMD x\n":                          "maintainer healthcheck-start-interval",
	} {
		found := check(t, text, engine.Source{Context: context})
		if got := rows(found.Notes); got != want || len(found.Refusals) > 0 || found.Rewritten {
			t.Errorf("%q: notes are %q, want %q; %+v", text, got, want, found.Refusals)
		}
	}
}

func withoutHashes(text string) string {
	return hashes.ReplaceAllString(text, "${1}${2}H")
}

// TestPlatforms checks on which node a build runs.
func TestPlatforms(t *testing.T) {
	for _, test := range []struct {
		text  string
		nodes []string
		want  string
		fails bool
	}{
		{"FROM --platform=linux/arm64 a\n", nil, "linux/arm64", false},
		{"FROM --platform=linux/aarch64 a\n", []string{"linux/amd64", "linux/arm64"}, "linux/arm64", false},
		{"FROM --platform=linux/arm64/v8 a\n", []string{"linux/arm64"}, "linux/arm64", false},
		{"FROM --platform=linux/amd64 a\n", []string{"linux/arm64"}, "", true},
		{"FROM --platform=linux/amd64 a AS b\nFROM --platform=linux/arm64 a\nCOPY --from=b /x /x\n", nil, "", true},
		{"FROM --platform=linux/arm/v7 a\n", nil, "", true},
		{"FROM --platform=windows/amd64 a\n", nil, "", true},
		{"ARG P=linux/arm64\nFROM --platform=$P a\n", nil, "", true},
		{"FROM --platform=$TARGETPLATFORM a\n", []string{"linux/arm64"}, "", false},
		{"FROM a\n", []string{"linux/arm64"}, "", false},
	} {
		found := check(t, test.text, engine.Source{Platforms: func() []string { return test.nodes }})
		if fails := len(found.Refusals) > 0; fails != test.fails || !fails && found.Platform != test.want {
			t.Errorf("%q on %q: %q, refusals %+v", test.text, test.nodes, found.Platform, found.Refusals)
		}
	}
}

// TestBaseWorkdir checks base images whose WORKDIR the pod hides.
func TestBaseWorkdir(t *testing.T) {
	workdirs := map[string]string{"pytorch/pytorch": "/workspace", "acme/b": "/srv", "ghcr.io/c": "/tekton/x"}
	for text, want := range map[string]string{
		"FROM pytorch/pytorch\nCOPY . .\n":                       "base-workdir",
		"FROM pytorch/pytorch\nRUN git clone x\n":                "base-workdir",
		"FROM pytorch/pytorch\nWORKDIR app\n":                    "base-workdir",
		"FROM pytorch/pytorch AS x\nFROM x\nCOPY . app/\n":       "base-workdir",
		"FROM pytorch/pytorch\nRUN pip install x\nCOPY . /app\n": "",
		"FROM pytorch/pytorch\nWORKDIR /app\nCOPY . .\n":         "",
		"FROM acme/b\nCOPY . .\n":                                "",
		"FROM ghcr.io/c\nADD a.tar .\nCOPY . .\n":                "base-workdir",
		"FROM python:3.13\nCOPY . .\n":                           "",
	} {
		asked := 0
		found := check(t, text, engine.Source{Workdir: func(image string) (string, error) {
			asked++
			dir, ok := workdirs[image]
			if !ok {
				t.Errorf("%q: asked for %s", text, image)
			}
			return dir, nil
		}})
		if got := rows(found.Refusals); got != want || asked > 1 {
			t.Errorf("%q: refused by %q, want %q; asked %d times", text, got, want, asked)
		}
	}
	found := check(t, "FROM acme/b\nCOPY . .\n", engine.Source{Workdir: func(string) (string, error) { return "", fs.ErrPermission }})
	if rows(found.Notes) != "base-workdir" || len(found.Refusals) > 0 {
		t.Errorf("an image that cannot be read: %+v", found)
	}
}

// TestSelections checks --exclude and --parents where the files of the build context are known.
func TestSelections(t *testing.T) {
	files := map[string]fs.FileMode{}
	for _, name := range []string{"a.txt", "a.md", "sub/readme.md", "sub/top.py", "sub/deep/x.py", "sub/deep/x.md", "libs/one/p.toml", "libs/two/p.toml", "libs/two/c.py", "odd/[x].md"} {
		files[name] = 0o644
		for i, char := range name {
			if char == '/' {
				files[name[:i]] = fs.ModeDir | 0o755
			}
		}
	}
	files["sub/deep/x.py"] = 0o600
	files["empty"], files["closed"], files["closed/x"] = fs.ModeDir|0o755, fs.ModeDir|0o700, 0o644
	for name, test := range map[string]struct{ in, want, ignore, refused string }{
		"exclude": {
			"FROM a\nCOPY --chown=1:2 --exclude=*.md sub /x/\n", "FROM a\nCOPY --chown=1:2 sub /x/\n", "/sub/readme.md\n", "",
		},
		"exclude several": {
			"FROM a\nARG E=deep\nADD --exclude=$E \\\n  --exclude=\"*.md\" sub libs /x/\nCOPY libs /y/\n", "FROM a\nARG E=deep\nADD \\\n  sub libs /x/\nCOPY libs /y/\n", "/sub/deep\n/sub/readme.md\n", "",
		},
		"exclude at any depth":   {"FROM a\nCOPY --exclude=**/*.md . /x/\n", "FROM a\nCOPY . /x/\n", "/a.md\n/odd/\\[x].md\n/sub/deep/x.md\n/sub/readme.md\n", ""},
		"exclude twice the same": {"FROM a\nCOPY --exclude=*.md sub /x/\nCOPY --exclude=*.md sub /y/\n", "FROM a\nCOPY sub /x/\nCOPY sub /y/\n", "/sub/readme.md\n/sub/readme.md\n", ""},
		"exclude beside parents": {
			"FROM a\nCOPY --exclude=*.md sub /x/\nCOPY --parents **/p.toml /y/\n",
			"FROM a\nCOPY sub /x/\nCOPY [\"libs/one/p.toml\",\"/y/libs/one/\"]\nCOPY [\"libs/two/p.toml\",\"/y/libs/two/\"]\n", "/sub/readme.md\n", "",
		},
		"exclude no file of that name":   {"FROM a\nCOPY --exclude=*.txt a.txt /x/\n", "FROM a\nCOPY a.txt /x/\n", "", ""},
		"exclude what another one needs": {"FROM a\nCOPY --exclude=*.md sub /x/\nCOPY sub/readme.md /y/\n", "", "", "line 3 needs"},
		"exclude what a mount needs":     {"FROM a\nCOPY --exclude=*.md sub /x/\nRUN --mount=type=bind,target=/src ls /src\n", "", "", "line 3 needs"},
		"exclude with an exception":      {"FROM a\nCOPY --exclude=*.md --exclude=!readme.md sub /x/\n", "", "", "is not known"},
		"exclude of a stage":             {"FROM a AS b\nFROM a\nCOPY --from=b --exclude=x /s /x/\n", "", "", "--exclude is ignored"},
		"parents": {
			"FROM a\nCOPY --parents sub/deep/x.py a.txt /x/\nCOPY --parents ./sub/./deep/x.py /y/\n",
			"FROM a\nCOPY [\"sub/deep/x.py\",\"/x/sub/deep/\"]\nCOPY [\"a.txt\",\"/x/\"]\nCOPY [\"sub/deep/x.py\",\"/y/deep/\"]\n", "", "",
		},
		"parents with patterns": {
			"FROM a\nWORKDIR /w\nCOPY --parents --chown=1:2 **/p.toml empty ./\n",
			"FROM a\nWORKDIR /w\nCOPY --chown=1:2 [\"libs/one/p.toml\",\"libs/one/\"]\nCOPY --chown=1:2 [\"libs/two/p.toml\",\"libs/two/\"]\nCOPY --chown=1:2 [\"empty/\",\"empty/\"]\n", "", "",
		},
		"parents and exclude": {
			"FROM a\nCOPY --parents --exclude=**/*.md sub /x/\n", "FROM a\nCOPY [\"sub/top.py\",\"/x/sub/\"]\nCOPY [\"sub/deep/x.py\",\"/x/sub/deep/\"]\n", "", "",
		},
		"modes of its own":              {"FROM a\nCOPY --chmod=u=rwX,go=rX sub libs /x/\n", "FROM a\nCOPY sub libs /x/\n", "", ""},
		"modes that others read":        {"FROM a\nCOPY --chmod=u=rwX,go=rX . /x/\nCOPY sub /y/\n", "", "", "gives different modes"},
		"parents of nothing":            {"FROM a\nCOPY --parents absent /x/\n", "", "", "nothing in the build context matches absent"},
		"parents of a closed directory": {"FROM a\nCOPY --parents closed/x /x/\n", "", "", "closed has another mode"},
		"parents of a stage":            {"FROM a\nCOPY --parents --from=b x /x/\n", "", "", "not those of the build context"},
		"parents of an odd name":        {"FROM a\nCOPY --parents odd /x/\n", "", "", "taken for a pattern"},
		"parents, not":                  {"FROM a\nCOPY --parents=false sub /x/\n", "FROM a\nCOPY --parents=false sub /x/\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := check(t, test.in, engine.Source{Files: func() (map[string]fs.FileMode, error) { return files, nil }})
			if test.refused != "" {
				if len(found.Refusals) != 1 || !strings.Contains(found.Refusals[0].Message, test.refused) {
					t.Errorf("want %q: %+v", test.refused, found.Refusals)
				}
				return
			}
			if mode, ok := found.Modes["sub/deep/x.py"]; ok != strings.HasPrefix(name, "modes") || ok && (mode != 0o644 || len(found.Modes) != 1) {
				t.Errorf("modes are %v", found.Modes)
			}
			if diff := cmp.Diff(test.want, string(found.Text)); diff != "" || len(found.Refusals) > 0 || string(found.Ignore) != test.ignore {
				t.Errorf("ignores %q, refuses %+v; text (-want +got):\n%s", found.Ignore, found.Refusals, diff)
			}
		})
	}
}

package detect

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite what is expected in testdata")

// section is one file of an archive.
type section struct{ name, content string }

// archive reads the format of testdata: text, and files each below a line
// "-- name --". options.json, want.json and want-error are not the project's.
func archive(content []byte) (comment string, sections []section) {
	for line := range strings.Lines(string(content)) {
		text := strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(text, "-- ") && strings.HasSuffix(text, " --") && len(text) > 6 {
			sections = append(sections, section{name: text[3 : len(text)-3]})
			continue
		}
		if len(sections) == 0 {
			comment += line
		} else {
			sections[len(sections)-1].content += line
		}
	}
	return comment, sections
}

func TestRead(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 24 {
		t.Fatalf("there are %d trees, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			comment, sections := archive(content)
			dir := t.TempDir()
			var options Options
			project := ""
			want, expected := section{}, false
			out := bytes.NewBufferString(comment)
			for _, one := range sections {
				switch one.name {
				case "want.json", "want-error":
					want, expected = one, true
					continue
				case "project-dir": // which of the directories is the project
					project = strings.TrimSpace(one.content)
				case "options.json":
					if err := json.Unmarshal([]byte(one.content), &options); err != nil {
						t.Fatal(err)
					}
				default:
					write(t, dir, one.name, one.content)
				}
				out.WriteString("-- " + one.name + " --\n" + one.content)
			}
			found, err := Read(filepath.Join(dir, project), options)
			got := section{"want.json", ""}
			if err != nil {
				got = section{"want-error", strings.ReplaceAll(err.Error(), dir, "DIR") + "\n"}
			} else {
				got.content = encode(t, found)
			}
			if *update {
				out.WriteString("-- " + got.name + " --\n" + got.content)
				if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !expected {
				t.Fatal("the archive has neither want.json nor want-error")
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(section{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if again, err := Read(filepath.Join(dir, project), options); err == nil && encode(t, again) != got.content {
				t.Error("a second reading finds something else")
			}
		})
	}
}

func encode(t *testing.T, found *Project) string {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(found); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	target := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadWithoutAProject(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "README.md", "nothing\n")
	write(t, dir, "package.json", "{}\n")
	if _, err := Read(dir, Options{}); !errors.Is(err, ErrNoProject) {
		t.Errorf("got %v", err)
	}
	if _, err := Read(filepath.Join(dir, "absent"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

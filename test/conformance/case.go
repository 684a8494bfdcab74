// Package conformance says what image a Dockerfile makes: cases with the image that
// BuildKit made of each, and how to compare another image with it.
package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
)

const (
	// wantFile is the part of a case that the recorder writes.
	wantFile = "want"
	// inputsPrefix starts the first line of that part, which names the inputs that it
	// was recorded for.
	inputsPrefix = "# inputs "
	extension    = ".txtar"
)

// Settings are the head of a case, in YAML.
type Settings struct {
	// Fast puts the case into the selection that runs with the other end-to-end tests.
	Fast bool `json:"fast,omitempty"`
	// File is the Dockerfile's path in the folder, if it is not Dockerfile.
	File string `json:"file,omitempty"`
	// Target is the stage to build.
	Target string `json:"target,omitempty"`
	// Args are build arguments, as KEY=VALUE.
	Args []string `json:"args,omitempty"`
	// Secrets are the build's secrets, by their ids.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Modes are the octal modes of files and directories that are not 0644 and 0755.
	Modes map[string]string `json:"modes,omitempty"`
	// Links are symbolic links of the folder and what they lead to.
	Links map[string]string `json:"links,omitempty"`
	// Dirs are directories of the folder without files.
	Dirs []string `json:"dirs,omitempty"`
	// Index passes the package index of the machine that records. The platform has it
	// from its setup.
	Index bool `json:"index,omitempty"`
	// Again builds a second time, with the layers of the first time in the cache.
	Again bool `json:"again,omitempty"`
	// After is a case whose layers are in the cache when this one is built.
	After string `json:"after,omitempty"`
	// Base64 are binary files of the folder.
	Base64 map[string]string `json:"base64,omitempty"`
	// Only are the directories of the image to compare, if not all.
	Only []string `json:"only,omitempty"`
	// Refused are lines that the build prints instead of starting a run: we cannot do
	// what BuildKit does.
	Refused []string `json:"refused,omitempty"`
	// Broken says that BuildKit's build fails. Ours is refused, or its run fails.
	Broken bool `json:"broken,omitempty"`
	// Fails are texts that a build prints whose run fails.
	Fails []string `json:"fails,omitempty"`
	// Notes are texts that the build prints about what is not as with BuildKit.
	Notes []string `json:"notes,omitempty"`
	// Deviates says why the image is known to be another one than BuildKit's.
	Deviates string `json:"deviates,omitempty"`
}

// Case is a build and the image that it has to make.
type Case struct {
	Settings
	// Name is the name of the case's file, without extension.
	Name string
	// Want are the lines that Lines returns for the right image. It is empty when the
	// build has to fail.
	Want []string

	inputs, recorded string
	archive          *txtar.Archive
}

// Cases reads all cases of a directory, by name.
func Cases(dir string) ([]*Case, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("%s has no cases: %w", dir, errors.Join(err, os.ErrNotExist))
	}
	var cases []*Case
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c, err := parse(strings.TrimSuffix(filepath.Base(path), extension), content)
		if err != nil {
			return nil, fmt.Errorf("read case %s: %w", path, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func parse(name string, content []byte) (*Case, error) {
	c := &Case{Name: name, archive: txtar.Parse(content)}
	if err := yaml.UnmarshalStrict(c.archive.Comment, &c.Settings); err != nil {
		return nil, err
	}
	if i := c.wantIndex(); i >= 0 {
		head, body, _ := strings.Cut(string(c.archive.Files[i].Data), "\n")
		c.recorded = strings.TrimPrefix(head, inputsPrefix)
		c.Want = slices.Collect(strings.Lines(body))
		for i := range c.Want {
			c.Want[i] = strings.TrimSuffix(c.Want[i], "\n")
		}
	}
	c.inputs = c.digest()
	return c, nil
}

func (c *Case) wantIndex() int {
	return slices.IndexFunc(c.archive.Files, func(file txtar.File) bool { return file.Name == wantFile })
}

// digest identifies what decides about the right image. What we do with the case does
// not belong to it.
func (c *Case) digest() string {
	inputs := c.Settings
	inputs.Fast, inputs.Again, inputs.After = false, false, ""
	inputs.Refused, inputs.Fails, inputs.Notes, inputs.Deviates = nil, nil, nil, ""
	// A struct of plain values goes into YAML.
	head, _ := yaml.Marshal(inputs)
	hash := sha256.New()
	_, _ = hash.Write(head)
	for _, file := range c.archive.Files {
		if file.Name != wantFile {
			_, _ = fmt.Fprintf(hash, "%q %q\n", file.Name, file.Data)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}

// Recorded reports whether Want belongs to the case's inputs as they are now.
func (c *Case) Recorded() bool { return c.recorded == c.inputs }

// Dockerfile is the path of the Dockerfile in the folder.
func (c *Case) Dockerfile() string {
	if c.File == "" {
		return "Dockerfile"
	}
	return c.File
}

// Write writes the folder of the case.
func (c *Case) Write(dir string) error {
	files := map[string][]byte{}
	for _, file := range c.archive.Files {
		if file.Name != wantFile {
			files[file.Name] = file.Data
		}
	}
	for name, text := range c.Base64 {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("content of %s: %w", name, err)
		}
		files[name] = data
	}
	for _, name := range c.Dirs {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	for name, target := range c.Links {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, path); err != nil {
			return err
		}
	}
	return c.chmod(dir)
}

func (c *Case) chmod(dir string) error {
	for name, octal := range c.Modes {
		mode, err := strconv.ParseUint(octal, 8, 32)
		if err != nil {
			return fmt.Errorf("mode of %s: %w", name, err)
		}
		// os.Chmod has bits of its own for what is above 0777, which no case needs.
		if err := os.Chmod(filepath.Join(dir, name), os.FileMode(mode)); err != nil {
			return err
		}
	}
	return nil
}

// WriteSecrets writes each secret into a file of its own below dir and returns the
// values of --build-secret, which are those of buildctl's --secret, too.
func (c *Case) WriteSecrets(dir string) ([]string, error) {
	var values []string
	for id, content := range c.Secrets {
		path := filepath.Join(dir, id)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return nil, err
		}
		values = append(values, "id="+id+",src="+path)
	}
	slices.Sort(values)
	return values, nil
}

// Record sets the right image and writes the case back into its file in dir. Without
// lines the build has to fail.
func (c *Case) Record(dir string, lines []string) error {
	var want bytes.Buffer
	_, _ = fmt.Fprintln(&want, inputsPrefix+c.inputs)
	for _, line := range lines {
		_, _ = fmt.Fprintln(&want, line)
	}
	i := c.wantIndex()
	if i < 0 {
		i = len(c.archive.Files)
		c.archive.Files = append(c.archive.Files, txtar.File{Name: wantFile})
	}
	c.archive.Files[i].Data = want.Bytes()
	c.Want, c.recorded = lines, c.inputs
	return os.WriteFile(filepath.Join(dir, c.Name+extension), txtar.Format(c.archive), 0o644)
}

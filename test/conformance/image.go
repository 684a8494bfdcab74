package conformance

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// shown is the length up to which a line has a file's text instead of its digest.
	shown = 300

	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// tree is a file system: the line of each path, without the path.
type tree map[string]string

// Lines describes an image for a comparison: a line for each value of its
// configuration, and one for each path that the build added to the base image, changed
// or removed. ours says which entries of the history are the build's. Only paths of the
// directories in only count, or all if it is empty.
func Lines(image v1.Image, ours func(v1.History) bool, only []string) ([]string, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	// A base image need not have a history.
	count := len(layers)
	for _, entry := range config.History {
		if ours(entry) && !entry.EmptyLayer {
			count--
		}
	}
	if count < 0 {
		return nil, fmt.Errorf("the history has more layers than the image: %d of %d", len(layers)-count, len(layers))
	}
	base, err := flatten(tree{}, layers[:count])
	if err != nil {
		return nil, err
	}
	all := tree{}
	for name, line := range base {
		all[name] = line
	}
	if all, err = flatten(all, layers[count:]); err != nil {
		return nil, err
	}
	return append(configLines(config.Config), changes(base, all, only)...), nil
}

// changes are the lines of what all has, and base has not or differently, and of what
// it lacks.
func changes(base, all tree, only []string) []string {
	var lines []string
	counts := func(name string) bool {
		if slices.ContainsFunc(mounted(), func(dir string) bool { return within(name, dir) }) {
			return false
		}
		return len(only) == 0 || slices.ContainsFunc(only, func(dir string) bool { return within(name, strings.Trim(dir, "/")) })
	}
	for name, line := range all {
		if line != base[name] && counts(name) {
			lines = append(lines, "/"+name+" "+line)
		}
	}
	for name := range base {
		if _, there := all[name]; !there && counts(name) {
			lines = append(lines, "/"+name+" removed")
		}
	}
	slices.Sort(lines)
	return lines
}

// mounted are the directories that every container has mounts on. An engine may leave
// them empty in the image.
func mounted() []string { return []string{"dev", "proc", "sys"} }

func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// flatten puts layers on top of a file system.
func flatten(files tree, layers []v1.Layer) (tree, error) {
	for _, layer := range layers {
		added, err := readLayer(files, layer)
		if err != nil {
			return nil, err
		}
		for name, line := range added {
			if !strings.HasPrefix(line, "d ") {
				files.remove(name, true)
			}
			files[name] = line
		}
	}
	return files, nil
}

// remove removes what is below a path, and with self the path as well.
func (t tree) remove(name string, self bool) {
	for other := range t {
		if within(other, name) && (self || other != name) {
			delete(t, other)
		}
	}
}

// readLayer reads what a layer adds, and removes from the files below it what it
// deletes.
func readLayer(below tree, layer v1.Layer) (tree, error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	added := tree{}
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return added, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read layer: %w", err)
		}
		name := strings.Trim(path.Clean("/"+header.Name), "/")
		directory, last := path.Split(name)
		switch {
		case last == opaque:
			below.remove(strings.TrimSuffix(directory, "/"), false)
		case strings.HasPrefix(last, whiteout):
			below.remove(directory+strings.TrimPrefix(last, whiteout), true)
		case name == "":
		case header.Typeflag == tar.TypeLink:
			target := strings.Trim(path.Clean("/"+header.Linkname), "/")
			line, there := added[target]
			if !there {
				line = below[target]
			}
			added[name] = line
		default:
			if added[name], err = describe(header, archive); err != nil {
				return nil, err
			}
		}
	}
}

// describe is the line of one entry: type, mode, owner, and what it has.
func describe(header *tar.Header, content io.Reader) (string, error) {
	line := fmt.Sprintf("%04o %d:%d", header.Mode&0o7777, header.Uid, header.Gid)
	switch header.Typeflag {
	case tar.TypeDir:
		return "d " + line, nil
	case tar.TypeSymlink:
		// Its mode and its owner mean nothing to those who follow it.
		return "l " + header.Linkname, nil
	case tar.TypeReg:
	default:
		return string(header.Typeflag) + " " + line, nil
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", header.Name, err)
	}
	line = "f " + line
	if capability := header.PAXRecords["SCHILY.xattr.security.capability"]; capability != "" {
		line += " capability=" + strconv.Quote(capability)
	}
	if len(data) <= shown && utf8.Valid(data) {
		return line + " " + strconv.Quote(string(data)), nil
	}
	sum := sha256.Sum256(data)
	return line + " sha256:" + hex.EncodeToString(sum[:]), nil
}

// configLines are the values of a configuration that a Dockerfile decides about.
func configLines(config v1.Config) []string {
	var lines []string
	add := func(key string, value any) {
		// Plain values go into JSON.
		text, _ := json.Marshal(value)
		if empty := []string{"null", `""`, "[]", "{}"}; !slices.Contains(empty, string(text)) {
			lines = append(lines, "config "+key+" "+string(text))
		}
	}
	for _, variable := range config.Env {
		lines = append(lines, "config Env "+variable)
	}
	for key, value := range config.Labels {
		lines = append(lines, "config Label "+key+"="+value)
	}
	add("Cmd", config.Cmd)
	add("Entrypoint", config.Entrypoint)
	add("ExposedPorts", config.ExposedPorts)
	add("Healthcheck", config.Healthcheck)
	add("OnBuild", config.OnBuild)
	add("Shell", config.Shell)
	add("StopSignal", config.StopSignal)
	add("User", config.User)
	add("Volumes", config.Volumes)
	if config.WorkingDir != "/" { // the default
		add("WorkingDir", config.WorkingDir)
	}
	slices.Sort(lines)
	return lines
}

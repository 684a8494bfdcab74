package scaffold

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// Settings are the values that Extend writes. It leaves out empty ones.
type Settings struct {
	Name, Entrypoint, Python string
	Port                     int
	Context                  string
}

// HasSettings reports whether a pyproject.toml has a table [tool.kubectl-pyflow] in any form.
// An error is that of toml.Decode.
func HasSettings(content []byte) (bool, error) {
	var has struct {
		Tool map[string]any `toml:"tool"`
	}
	if err := toml.Decode(settings.File, content, &has); err != nil {
		return false, err
	}
	_, ok := has.Tool[strings.TrimPrefix(settings.Table, "tool.")]
	return ok, nil
}

// Extend returns the pyproject.toml with the table [tool.kubectl-pyflow] at its end. It changes
// no existing byte; content is nil for a file that does not exist. New lines end as the first
// line does. It returns an error if TOML does not allow the table there, as after tool = {…},
// or if the file has the table already.
func Extend(content []byte, tableValue Settings) (File, error) {
	table := "[" + settings.Table + "]\n"
	for _, pair := range []struct{ key, value string }{
		{"name", tableValue.Name}, {"entrypoint", tableValue.Entrypoint}, {"python", tableValue.Python}, {"context", tableValue.Context},
	} {
		if pair.value != "" {
			table += fmt.Sprintf("%s = %q\n", pair.key, pair.value)
		}
	}
	if tableValue.Port != 0 {
		table += fmt.Sprintf("port = %d\n", tableValue.Port)
	}
	if len(content) > 0 {
		table = "\n" + table
		if !bytes.HasSuffix(content, []byte("\n")) {
			table = "\n" + table
		}
	}
	if line, _, found := bytes.Cut(content, []byte("\n")); found && bytes.HasSuffix(line, []byte("\r")) {
		table = strings.ReplaceAll(table, "\n", "\r\n")
	}
	file := File{Path: settings.File, Content: append(bytes.Clone(content), table...), Base: content}
	if has, err := HasSettings(file.Content); err != nil || !has {
		return File{}, fmt.Errorf("%s has no place for a table [%s] at its end: write it there by hand:\n%s",
			settings.File, settings.Table, strings.TrimSpace(table))
	}
	return file, nil
}

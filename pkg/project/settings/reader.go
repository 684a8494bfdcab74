package settings

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/util/suggest"
	"github.com/pelletier/go-toml/v2/unstable"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// The JSON schema has the same patterns.
const (
	entrypointPattern = `^` + dotted + `:` + dotted + `$`
	pythonPattern     = `^3\.(0|[1-9][0-9]?)$`
	argumentPattern   = `^[A-Za-z_][A-Za-z0-9_]*$`
	secretPattern     = `^[A-Za-z0-9_][A-Za-z0-9_.-]*$`

	// dotted are Python identifiers with points between them. Every character outside
	// ASCII counts as a letter, as not every regular expression engine knows letters.
	dotted     = identifier + `(\.` + identifier + `)*`
	identifier = `[^\x00-@\[-\^\x60{-\x7f][^\x00-/:-@\[-\^\x60{-\x7f]*`
)

// reader fills Settings and collects mistakes.
type reader struct {
	*Settings
	problems []*Error
	// failed are the keys with a mistake.
	failed map[string]bool
}

// report adds a mistake in a key such as "build.variant", or in the whole table, whose path is
// empty.
func (r *reader) report(path string, offset int, format string, args ...any) {
	r.failed[path] = true
	problem := r.place(offset)
	problem.Err = fmt.Errorf("%s: "+format, append([]any{strings.TrimSuffix(Table+"."+path, ".")}, args...)...)
	r.problems = append(r.problems, problem)
}

// file reads the table of a whole file.
func (r *reader) file(root *value) {
	tool, ok := root.children["tool"]
	if !ok {
		return
	}
	table, ok := tool.children[tableName]
	if !ok {
		r.misplaced = isOurs(tool.children[otherTool])
		return
	}
	r.read(table, reflect.ValueOf(r.Settings).Elem(), "")
}

// isOurs reports whether a table [tool.pyflow] holds settings of this plugin and nothing
// else. The other tool writes keys such as py_version and dependencies.
func isOurs(table *value) bool {
	if table == nil || len(table.keys) == 0 {
		return false
	}
	known := append(keysOf(reflect.TypeFor[Settings]()), formerEntrypoint)
	return !slices.ContainsFunc(table.keys, func(key string) bool { return !slices.Contains(known, key) })
}

// read stores a value in its field.
func (r *reader) read(v *value, into reflect.Value, path string) { //nolint:gocognit // a switch over the kinds of Go types
	r.offsets[path] = v.offset
	switch target := into.Addr().Interface().(type) {
	case *string:
		if r.expect(v, unstable.String, path) {
			*target = v.text
		}
	case *int32:
		if r.expect(v, unstable.Integer, path) {
			// TOML writes numbers as Go does.
			number, err := strconv.ParseInt(v.text, 0, 32)
			if err != nil {
				r.report(path, v.offset, "the number is out of range")
			}
			*target = int32(number)
		}
	case **int32:
		*target = new(int32)
		r.read(v, into.Elem(), path)
	case *resource.Quantity:
		if r.expect(v, unstable.String, path) {
			quantity, err := resource.ParseQuantity(v.text)
			if err != nil || quantity.Sign() <= 0 {
				r.report(path, v.offset, "%q is not a positive quantity, such as %q", v.text, exampleOf(path))
			}
			*target = quantity
		}
	case encoding.TextUnmarshaler:
		if r.expect(v, unstable.String, path) {
			if err := target.UnmarshalText([]byte(v.text)); err != nil {
				r.report(path, v.offset, "%w", err)
			}
		}
	case *map[string]string:
		if r.expect(v, unstable.Table, path) {
			*target = map[string]string{}
			r.members(v, path, func(key string, member *value, path string) {
				if r.expect(member, unstable.String, path) {
					(*target)[key] = member.text
				}
			})
		}
	case *corev1.ResourceList:
		if r.expect(v, unstable.Table, path) {
			*target = corev1.ResourceList{}
			r.members(v, path, func(key string, member *value, path string) {
				if !r.expect(member, unstable.String, path) {
					return
				}
				name, quantity, err := app.ParseResource(key, member.text)
				if err != nil {
					r.report(path, member.offset, "%w", err)
					return
				}
				(*target)[name] = quantity
			})
		}
	default:
		if r.expect(v, unstable.Table, path) {
			fields := fieldsOf(into)
			r.members(v, path, func(key string, member *value, path string) {
				if field, ok := fields[key]; ok {
					r.read(member, field, path)
					return
				}
				if path == formerEntrypoint {
					r.readFormerEntrypoint(v, member)
					return
				}
				r.report(path, member.offset, "no such setting%s", cmp.Or(meant(key, slices.Sorted(maps.Keys(fields))), elsewhere(key)))
			})
		}
	}
}

// readFormerEntrypoint reads the key app of a table.
func (r *reader) readFormerEntrypoint(table, member *value) {
	if _, both := table.children[entrypoint]; both {
		r.report(formerEntrypoint, member.offset, "app is the former name of entrypoint, which is set too: remove app")
		return
	}
	r.read(member, reflect.ValueOf(&r.Entrypoint).Elem(), formerEntrypoint)
}

// members calls each for every key of a table.
func (r *reader) members(v *value, path string, each func(key string, member *value, path string)) {
	for _, key := range v.keys {
		member := v.children[key]
		r.offsets[below(path, key)] = member.offset
		each(key, member, below(path, key))
	}
}

// expect reports whether a value has the wanted type, and adds a mistake if it has not.
func (r *reader) expect(v *value, kind unstable.Kind, path string) bool {
	if v.kind != kind {
		r.report(path, v.offset, "%s", v.insteadOf(kind))
	}
	return v.kind == kind
}

// insteadOf returns the message for a value of another type than the wanted one.
func (v *value) insteadOf(kind unstable.Kind) string {
	text := fmt.Sprintf("is %s and must be %s", kindName(v.kind), kindName(kind))
	if kind == unstable.String && v.kind != unstable.Table && v.kind != unstable.Array {
		text += ": put it in quotes"
	}
	return text
}

func kindName(kind unstable.Kind) string {
	switch kind {
	case unstable.String:
		return "a string"
	case unstable.Integer:
		return "an integer"
	case unstable.Float:
		return "a number with a point"
	case unstable.Bool:
		return "a boolean"
	case unstable.Array:
		return "an array"
	case unstable.Table, unstable.InlineTable:
		return "a table"
	}
	return "a date or a time"
}

// fieldsOf returns the fields of a struct by their keys.
func fieldsOf(into reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range into.NumField() {
		if key, ok := into.Type().Field(i).Tag.Lookup("toml"); ok {
			fields[key] = into.Field(i)
		}
	}
	return fields
}

// meant returns the end of a message that suggests the setting that a key is close to.
func meant(key string, known []string) string {
	for _, name := range known {
		if strings.EqualFold(key, name) {
			return "; did you mean " + name + "?"
		}
	}
	if name, ok := suggest.Search(key, known, true); ok {
		return "; did you mean " + name + "?"
	}
	return ""
}

// elsewhere suggests the setting of the same name in another table, as meant does.
func elsewhere(key string) string {
	for _, path := range keysOf(reflect.TypeFor[Settings]()) {
		if strings.HasSuffix(path, "."+strings.ToLower(key)) {
			return "; did you mean " + path + "?"
		}
	}
	return ""
}

// keysOf returns the dotted names of all settings, each table before its keys.
func keysOf(table reflect.Type) []string {
	var keys []string
	for i := range table.NumField() {
		key, ok := table.Field(i).Tag.Lookup("toml")
		if !ok {
			continue
		}
		keys = append(keys, key)
		if inner := table.Field(i).Type; inner.Kind() == reflect.Struct && inner != reflect.TypeFor[resource.Quantity]() {
			for _, below := range keysOf(inner) {
				keys = append(keys, key+"."+below)
			}
		}
	}
	return keys
}

// below returns the dotted name of a key in a table, as TOML writes it.
func below(path, key string) string {
	bare := func(char rune) bool {
		return char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z' || char >= '0' && char <= '9' || char == '-' || char == '_'
	}
	if key == "" || strings.ContainsFunc(key, func(char rune) bool { return !bare(char) }) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func exampleOf(path string) string {
	switch path {
	case "build.cpu":
		return "500m"
	case "build.storage":
		return "10Gi"
	}
	return "2Gi"
}

// check adds mistakes in values of the right type.
func (r *reader) check() {
	r.each("name", func() error { return appname.Validate(r.Name) })
	for _, key := range []string{entrypoint, formerEntrypoint} {
		r.each(key, func() error {
			return matches(r.Entrypoint, entrypointPattern, "of the form module:attribute, such as main:app")
		})
	}
	r.each("python", func() error {
		return matches(r.Python, pythonPattern, "a version of Python 3 of the form MAJOR.MINOR, such as 3.13")
	})
	r.each("port", func() error {
		if len(validation.IsValidPortNum(int(r.Port))) > 0 {
			return fmt.Errorf("%d is not a port: use 1 to 65535", r.Port)
		}
		return nil
	})
	r.each("replicas", func() error {
		if *r.Replicas < 0 {
			return fmt.Errorf("%d is negative", *r.Replicas)
		}
		return nil
	})
	r.each("test", func() error {
		words, err := shell.Fields(r.Test)
		switch {
		case err != nil:
			return err
		case len(words) == 0:
			return errors.New("it has no command")
		}
		return nil
	})
	r.checkEnv()
	r.checkResources()
	r.checkBuild()
}

// each checks a key if the file has it and it has the right type.
func (r *reader) each(path string, problem func() error) {
	offset, ok := r.offsets[path]
	if !ok || r.failed[path] {
		return
	}
	if err := problem(); err != nil {
		r.report(path, offset, "%w", err)
	}
}

func matches(text, pattern, what string) error {
	if regexp.MustCompile(pattern).MatchString(text) {
		return nil
	}
	return fmt.Errorf("%q is not %s", text, what)
}

// pairs checks a table of strings; the error of check does not repeat the value.
func (r *reader) pairs(path string, table map[string]string, check func(key, value string) error) {
	for key, value := range table {
		r.each(below(path, key), func() error { return check(key, value) })
	}
}

func (r *reader) checkEnv() {
	r.pairs("env", r.Env, func(key, value string) error {
		if err := app.CheckVariable(key, value); err != nil {
			return err
		}
		if key == "PORT" && !r.failed["port"] && (r.Port == 0 || value != strconv.Itoa(int(r.Port))) {
			return errors.New("the app gets PORT from the setting port: set port instead")
		}
		return nil
	})
}

func (r *reader) checkResources() {
	for name, quantity := range r.Resources.Requests {
		r.each(below("resources.requests", string(name)), func() error {
			return app.CheckResources(corev1.ResourceList{name: quantity}, r.Resources.Limits)
		})
	}
}

func (r *reader) checkBuild() {
	r.each("build.dockerfile", func() error {
		if path := filepath.FromSlash(r.Build.Dockerfile); !filepath.IsLocal(path) || filepath.Clean(path) == "." {
			return fmt.Errorf("%q is not a file inside the directory", r.Build.Dockerfile)
		}
		return nil
	})
	r.each("build.target", func() error {
		if strings.TrimSpace(r.Build.Target) == "" {
			return errors.New("it names no stage")
		}
		return nil
	})
	r.each("build.variant", func() error {
		if !slices.Contains(variant.Names(), r.Build.Variant) {
			return fmt.Errorf("%q is not one of %s%s", r.Build.Variant, strings.Join(variant.Names(), ", "), meant(r.Build.Variant, variant.Names()))
		}
		return nil
	})
	r.pairs("build.args", r.Build.Args, func(key, value string) error {
		if strings.ContainsRune(value, 0) {
			return errors.New("the value has a character U+0000, which no variable can hold")
		}
		return matches(key, argumentPattern, "the name of an argument")
	})
	r.pairs("build.secrets", r.Build.Secrets, func(id, value string) error {
		if err := matches(id, secretPattern, "the ID of a secret"); err != nil {
			return err
		}
		_, err := ParseSecretSource(id, value)
		return err
	})
	r.pairs("build.node-selector", r.Build.NodeSelector, func(key, value string) error {
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			return fmt.Errorf("this is not the name of a label: %s", strings.Join(problems, "; "))
		}
		if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
			return fmt.Errorf("%q cannot be the value of a label: %s", value, strings.Join(problems, "; "))
		}
		return nil
	})
}

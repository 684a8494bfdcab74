package settings

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/util/suggest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// The JSON schema has the same patterns.
const (
	entrypointPattern = `^` + dotted + `:` + dotted + `$`
	pythonPattern     = `^3\.(0|[1-9][0-9]?)$`
	argumentPattern   = `^[A-Za-z_][A-Za-z0-9_]*$`
	idPattern         = `^[A-Za-z0-9_][A-Za-z0-9_.-]*$`

	// dotted are Python identifiers with points between them. Every character outside
	// ASCII counts as a letter, as not every regular expression engine knows letters.
	dotted     = identifier + `(\.` + identifier + `)*`
	identifier = `[^\x00-@\[-\^\x60{-\x7f][^\x00-/:-@\[-\^\x60{-\x7f]*`
)

// reader fills Settings and collects mistakes.
type reader struct {
	*Settings
	problems []*toml.Error
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
func (r *reader) file(root *toml.Value) {
	tool, ok := root.Children["tool"]
	if !ok {
		return
	}
	table, ok := tool.Children[tableName]
	if !ok {
		r.misplaced = isOurs(tool.Children[otherTool])
		return
	}
	r.read(table, reflect.ValueOf(r.Settings).Elem(), "")
}

// isOurs reports whether a table [tool.pyflow] holds settings of this plugin and nothing
// else. The other tool writes keys such as py_version and dependencies.
func isOurs(table *toml.Value) bool {
	if table == nil || len(table.Keys) == 0 {
		return false
	}
	known := append(keysOf(reflect.TypeFor[Settings]()), formerEntrypoint)
	return !slices.ContainsFunc(table.Keys, func(key string) bool { return !slices.Contains(known, key) })
}

// read stores a value in its field.
func (r *reader) read(v *toml.Value, into reflect.Value, path string) { //nolint:gocognit // a switch over the kinds of Go types
	r.offsets[path] = v.Offset
	switch target := into.Addr().Interface().(type) {
	case *string:
		if r.expect(v, toml.String, path) {
			*target = v.Text
		}
	case *int32:
		if r.expect(v, toml.Integer, path) {
			// TOML writes numbers as Go does.
			number, err := strconv.ParseInt(v.Text, 0, 32)
			if err != nil {
				r.report(path, v.Offset, "the number is out of range")
			}
			*target = int32(number)
		}
	case **int32:
		*target = new(int32)
		r.read(v, into.Elem(), path)
	case *resource.Quantity:
		if r.expect(v, toml.String, path) {
			quantity, err := resource.ParseQuantity(v.Text)
			if err != nil || quantity.Sign() <= 0 {
				r.report(path, v.Offset, "%q is not a positive quantity, such as %q", v.Text, exampleOf(path))
			}
			*target = quantity
		}
	case encoding.TextUnmarshaler:
		if r.expect(v, toml.String, path) {
			if err := target.UnmarshalText([]byte(v.Text)); err != nil {
				r.report(path, v.Offset, "%w", err)
			}
		}
	case *map[string]string:
		if r.expect(v, toml.Table, path) {
			*target = map[string]string{}
			r.members(v, path, func(key string, member *toml.Value, path string) {
				if r.expect(member, toml.String, path) {
					(*target)[key] = member.Text
				}
			})
		}
	case *map[string]app.Variable:
		if r.expect(v, toml.Table, path) {
			*target = map[string]app.Variable{}
			r.members(v, path, func(key string, member *toml.Value, path string) {
				(*target)[key] = readVariable(r, key, member, path)
			})
		}
	case *[]app.EnvFrom:
		if r.expect(v, toml.Array, path) {
			*target = readEnvFrom(r, v, path)
		}
	case *map[string]Process:
		if r.expect(v, toml.Table, path) {
			*target = map[string]Process{}
			r.members(v, path, func(name string, member *toml.Value, path string) {
				(*target)[name] = r.process(member, path)
			})
		}
	case *[]string:
		if r.expect(v, toml.Array, path) {
			for _, element := range v.Elements {
				if r.expect(element, toml.String, path) {
					*target = append(*target, element.Text)
				}
			}
		}
	case *app.Hosts:
		*target = readHosts(r, v, path)
	case *app.TLS:
		*target = readTLS(r, v, path)
	case *app.NetworkPolicy:
		*target = readNetworkPolicy(r, v, path)
	case *corev1.ResourceList:
		if r.expect(v, toml.Table, path) {
			*target = corev1.ResourceList{}
			r.members(v, path, func(key string, member *toml.Value, path string) {
				if !r.expect(member, toml.String, path) {
					return
				}
				name, quantity, err := app.ParseResource(key, member.Text)
				if err != nil {
					r.report(path, member.Offset, "%w", err)
					return
				}
				(*target)[name] = quantity
			})
		}
	default:
		if r.expect(v, toml.Table, path) {
			fields := toml.Fields(into)
			r.members(v, path, func(key string, member *toml.Value, path string) {
				if field, ok := fields[key]; ok {
					r.read(member, field, path)
					return
				}
				if path == formerEntrypoint {
					r.readFormerEntrypoint(v, member)
					return
				}
				r.report(path, member.Offset, "no such setting%s", cmp.Or(meant(key, slices.Sorted(maps.Keys(fields))), elsewhere(key)))
			})
		}
	}
}

// readFormerEntrypoint reads the key app of a table.
func (r *reader) readFormerEntrypoint(table, member *toml.Value) {
	if _, both := table.Children[entrypoint]; both {
		r.report(formerEntrypoint, member.Offset, "app is the former name of entrypoint, which is set too: remove app")
		return
	}
	r.read(member, reflect.ValueOf(&r.Entrypoint).Elem(), formerEntrypoint)
}

// members calls each for every key of a table.
func (r *reader) members(v *toml.Value, path string, each func(key string, member *toml.Value, path string)) {
	for _, key := range v.Keys {
		member := v.Children[key]
		r.offsets[toml.Join(path, key)] = member.Offset
		each(key, member, toml.Join(path, key))
	}
}

// expect reports whether a value has the wanted type, and adds a mistake if it has not.
func (r *reader) expect(v *toml.Value, kind toml.Kind, path string) bool {
	if v.Kind != kind {
		r.report(path, v.Offset, "%s", v.InsteadOf(kind))
	}
	return v.Kind == kind
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
	r.each("context", func() error {
		if name := strings.TrimSpace(r.Context); name == "" || path.IsAbs(name) || filepath.IsAbs(filepath.FromSlash(name)) {
			return fmt.Errorf("%q is not relative to the directory of the project, as ../.. is", r.Context)
		}
		return nil
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
	r.each("user", func() error {
		_, err := app.ParseUser(r.User)
		return err
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
	r.checkProcesses()
	checkManifests(r)
	checkReach(r)
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
		r.each(toml.Join(path, key), func() error { return check(key, value) })
	}
}

func (r *reader) checkEnv() {
	for key, variable := range r.Env {
		r.each(toml.Join("env", key), func() error {
			if err := app.CheckVariable(key, variable.Value); err != nil {
				return err
			}
			if key == "PORT" && !r.failed["port"] && (r.Port == 0 || variable.Value != strconv.Itoa(int(r.Port))) {
				return errors.New("the app gets PORT from the setting port: set port instead")
			}
			return nil
		})
	}
}

func (r *reader) checkResources() {
	for name, quantity := range r.Resources.Requests {
		r.each(toml.Join("resources.requests", string(name)), func() error {
			return app.CheckResources(corev1.ResourceList{name: quantity}, r.Resources.Limits)
		})
	}
}

func checkManifests(r *reader) {
	below := func(name string) error {
		if path := filepath.FromSlash(name); strings.TrimSpace(name) == "" || filepath.IsAbs(path) || strings.HasPrefix(name, "/") {
			return fmt.Errorf("%q is not a path relative to the directory of the project", name)
		}
		return nil
	}
	r.each("manifests", func() error { return below(r.Manifests) })
	r.each("helm.values", func() error {
		for _, name := range r.Helm.Values {
			if err := below(name); err != nil {
				return err
			}
		}
		return nil
	})
	r.pairs("helm.set", r.Helm.Set, func(key, _ string) error {
		if key == "" || strings.ContainsAny(key, "= ") {
			return errors.New("this is not the dotted key of a value")
		}
		return nil
	})
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
		if err := matches(id, idPattern, "the ID of a secret"); err != nil {
			return err
		}
		_, err := ParseSecretSource(id, value)
		return err
	})
	r.each("build.allow-secret-files", func() error {
		for _, pattern := range r.Build.AllowSecretFiles {
			if err := buildcontext.CheckAllowed(pattern); err != nil {
				return err
			}
		}
		return nil
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

package settings

import (
	"strconv"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// The keys of a table that names a Secret or a ConfigMap.
const (
	secretKey    = "secret"
	configMapKey = "config-map"
	keyKey       = "key"
	prefixKey    = "prefix"
)

// readVariable reads a variable of the app: a string, or a table that names a key of a Secret or
// of a ConfigMap. The key is by default the name of the variable.
func readVariable(r *reader, name string, v *toml.Value, path string) app.Variable {
	if v.Kind != toml.Table {
		if v.Kind != toml.String {
			r.report(path, v.Offset, "%s, or a table with the key secret or config-map", v.InsteadOf(toml.String))
		}
		return app.Text(v.Text)
	}
	source, key := readSource(r, v, path, keyKey)
	if source.Key = key; key == "" {
		source.Key = name
	}
	if _, given := v.Children[keyKey]; given && !r.failed[path] {
		if err := source.Check(); err != nil || key == "" {
			r.report(path, v.Offset, "this is not a key of a %s: letters, digits, -, _ and . make a key", source.Kind)
		}
	}
	return app.Variable{From: source}
}

// readEnvFrom reads an array of tables that name a Secret or a ConfigMap each.
func readEnvFrom(r *reader, v *toml.Value, path string) []app.EnvFrom {
	var all []app.EnvFrom
	for i, element := range v.Elements {
		path := toml.Join(path, strconv.Itoa(i))
		r.offsets[path] = element.Offset
		if !r.expect(element, toml.Table, path) {
			continue
		}
		source, prefix := readSource(r, element, path, prefixKey)
		if err := app.CheckPrefix(prefix); err != nil {
			r.report(path, element.Offset, "%w", err)
		}
		all = append(all, app.EnvFrom{Source: source, Prefix: prefix})
	}
	return all
}

// readSource reads a table that names a Secret or a ConfigMap, and the value of one more key
// that it may have.
func readSource(r *reader, v *toml.Value, path, more string) (source app.Source, value string) {
	kinds := map[string]app.SourceKind{secretKey: app.SourceSecret, configMapKey: app.SourceConfigMap}
	r.members(v, path, func(key string, member *toml.Value, inner string) {
		kind, names := kinds[key]
		switch {
		case !names && key != more:
			r.report(path, member.Offset, "%s is none of secret, config-map and %s%s", key, more, meant(key, []string{secretKey, configMapKey, more}))
		case !r.expect(member, toml.String, inner):
			r.failed[path] = true
		case !names:
			value = member.Text
		case source.Kind != "":
			r.report(path, member.Offset, "it names a Secret and a ConfigMap: name one of them")
		default:
			source.Kind, source.Name = kind, member.Text
			if err := source.Check(); err != nil {
				r.report(path, member.Offset, "%w", err)
			}
		}
	})
	if source.Kind == "" && !r.failed[path] {
		r.report(path, v.Offset, "it names neither a Secret nor a ConfigMap: write %s = \"NAME\" or %s = \"NAME\"", secretKey, configMapKey)
	}
	return source, value
}

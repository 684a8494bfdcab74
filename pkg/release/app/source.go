package app

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// SourceKind is the kind of the object that a variable comes from.
type SourceKind string

// The kinds.
const (
	SourceSecret    SourceKind = "Secret"
	SourceConfigMap SourceKind = "ConfigMap"
)

// Source is a Secret or a ConfigMap of the namespace of the app. The zero value is none.
type Source struct {
	Kind SourceKind
	Name string
	// Key is one of its keys; empty means all of them.
	Key string
}

// String returns the source as kubectl names it: secret/shop-db, and with a key secret/shop-db:url.
func (s Source) String() string {
	text := strings.ToLower(string(s.Kind)) + "/" + s.Name
	if s.Key != "" {
		text += ":" + s.Key
	}
	return text
}

// Check checks the name and the key. The error repeats neither: a value may be there by mistake.
func (s Source) Check() error {
	if len(validation.IsDNS1123Subdomain(s.Name)) > 0 {
		return fmt.Errorf("this is not the name of a %s: lower case letters, digits, - and . make a name", s.Kind)
	}
	if s.Key != "" && len(validation.IsConfigMapKey(s.Key)) > 0 {
		return fmt.Errorf("this is not a key of a %s: letters, digits, -, _ and . make a key", s.Kind)
	}
	return nil
}

// Variable is what a variable of the app is set to: a text, or a key of a source.
type Variable struct {
	// Value is the literal text, if From is not set.
	Value string
	// From is a source with a key.
	From Source
}

// Text returns a variable with a literal value.
func Text(value string) Variable { return Variable{Value: value} }

// Texts returns variables with literal values; nil for none.
func Texts(values map[string]string) map[string]Variable {
	if values == nil {
		return nil
	}
	variables := make(map[string]Variable, len(values))
	for name, value := range values {
		variables[name] = Text(value)
	}
	return variables
}

// EnvVar returns the variable as a container has it. The value is literal: the kubelet does not
// expand it.
func (v Variable) EnvVar(name string) corev1.EnvVar {
	key := v.From.Key
	switch object := (corev1.LocalObjectReference{Name: v.From.Name}); v.From.Kind {
	case SourceSecret:
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: object, Key: key}}}
	case SourceConfigMap:
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: object, Key: key}}}
	}
	// The kubelet expands $(NAME) and $$.
	return corev1.EnvVar{Name: name, Value: strings.ReplaceAll(v.Value, "$", "$$")}
}

// EnvFrom sets a variable for each key of a source, whose Key is empty.
type EnvFrom struct {
	Source
	// Prefix comes before each key.
	Prefix string
}

// EnvFromSource returns what a container has of it.
func (e EnvFrom) EnvFromSource() corev1.EnvFromSource {
	from := corev1.EnvFromSource{Prefix: e.Prefix}
	if object := (corev1.LocalObjectReference{Name: e.Name}); e.Kind == SourceSecret {
		from.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: object}
	} else {
		from.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: object}
	}
	return from
}

// CheckPrefix checks that a prefix can start the name of a variable.
func CheckPrefix(prefix string) error {
	if prefix != "" && len(validation.IsEnvVarName(prefix)) > 0 {
		return fmt.Errorf("%q cannot start the name of a variable", prefix)
	}
	return nil
}

// errEnvFrom says what ParseEnvFrom reads. It does not repeat the text, which may be a value.
var errEnvFrom = errors.New("write secret/NAME or configmap/NAME for all keys, with ,prefix=PREFIX before their names, or VARIABLE=secret/NAME[:KEY] for one variable")

// ParseEnvFrom reads sources of variables: KIND/NAME[,prefix=PREFIX] for every key, and
// VARIABLE=KIND/NAME[:KEY] for one variable, where the key is by default the variable's name.
// KIND is secret, configmap or cm. Of one variable there is at most one.
func ParseEnvFrom(texts []string) (map[string]Variable, []EnvFrom, error) {
	variables, all := map[string]Variable{}, []EnvFrom(nil)
	for i, text := range texts {
		if err := parseEnvFrom(text, variables, &all); err != nil {
			return nil, nil, fmt.Errorf("source %d of %d: %w", i+1, len(texts), err)
		}
	}
	return variables, all, nil
}

func parseEnvFrom(text string, variables map[string]Variable, all *[]EnvFrom) error {
	source, prefix, hasPrefix := strings.Cut(text, ",prefix=")
	name, rest, one := strings.Cut(source, "=")
	if !one {
		rest = source
	}
	kind, object, _ := strings.Cut(rest, "/")
	object, key, hasKey := strings.Cut(object, ":")
	from := Source{Name: object, Key: key}
	switch strings.ToLower(kind) {
	case "secret", "secrets":
		from.Kind = SourceSecret
	case "configmap", "configmaps", "cm":
		from.Kind = SourceConfigMap
	default:
		return errEnvFrom
	}
	if hasKey && (key == "" || !one) || hasPrefix && (one || prefix == "") {
		return errEnvFrom
	}
	if one && !hasKey {
		from.Key = name
	}
	if err := from.Check(); err != nil {
		return err
	}
	if !one {
		if err := CheckPrefix(prefix); err != nil {
			return err
		}
		*all = append(*all, EnvFrom{Source: from, Prefix: prefix})
		return nil
	}
	if err := CheckVariable(name, ""); err != nil {
		return fmt.Errorf("variable %q: %w", name, err)
	}
	if _, twice := variables[name]; twice {
		return fmt.Errorf("variable %q is given twice", name)
	}
	variables[name] = Variable{From: from}
	return nil
}

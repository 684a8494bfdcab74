package settings

import (
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// SecretSource is a key of a Secret of the namespace.
type SecretSource struct{ Secret, Key string }

// ParseSecretSource reads secret=NAME or secret=NAME,key=KEY; without a key it is the ID. The
// error does not repeat the text, which may be the secret itself.
func ParseSecretSource(id, text string) (SecretSource, error) {
	wrong := errors.New("write secret=NAME or secret=NAME,key=KEY, of a Secret of the namespace: a value does not belong into a file")
	source := SecretSource{Key: id}
	for field := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "secret":
			source.Secret = value
		case "key":
			source.Key = value
		default:
			return SecretSource{}, wrong
		}
	}
	if len(validation.IsDNS1123Subdomain(source.Secret)) > 0 || len(validation.IsConfigMapKey(source.Key)) > 0 {
		return SecretSource{}, wrong
	}
	return source, nil
}

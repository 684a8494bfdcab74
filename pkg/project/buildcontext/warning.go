package buildcontext

import (
	"bytes"
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// WarningKind says why a packed file is worth a warning.
type WarningKind string

// The kinds.
const (
	// Secret is a file that looks like a password or a key. Who may read the
	// registry or the image would have it.
	Secret WarningKind = "Secret"
	// Large is a file, or a whole context, that takes long to upload.
	Large WarningKind = "Large"
)

const (
	// largeFile and largeContext are the sizes from which there is a warning.
	largeFile    = 50 << 20
	largeContext = 200 << 20
	// secretLimit is the size up to which a file's content is looked at: a key is
	// small, and a file of that size arrives in one piece.
	secretLimit  = 64 << 10
	warningLimit = 100
)

// Warning is a file that was packed and perhaps should not have been.
type Warning struct {
	// Path is relative to the directory, with slashes; "." is all of it.
	Path string
	Kind WarningKind
	// Size is in bytes.
	Size int64
	// Reason is what the file looks like, as a short phrase.
	Reason string
}

// String is one line: the path, quoted when it would not print as it is, and why.
func (w Warning) String() string {
	switch {
	case w.Kind == Secret:
		return quoted(w.Path) + " looks like a secret (" + w.Reason + ")"
	case w.Path == ".":
		return "the build context has " + humanize.IBytes(uint64(max(w.Size, 0)))
	}
	return quoted(w.Path) + " has " + humanize.IBytes(uint64(max(w.Size, 0)))
}

// warnings collects them while files are packed. Each kind has room of its own, so
// that a directory of large files does not hide a key.
type warnings struct {
	secrets, large []Warning
	more           int
}

// file looks at a packed file: content is what it was recognized as by its text.
func (w *warnings) file(name string, size int64, content string) {
	reason := content
	if size > 0 {
		reason = cmp.Or(secretName(name), content)
	}
	if reason != "" {
		w.add(&w.secrets, Warning{Path: name, Kind: Secret, Size: size, Reason: reason})
	}
	if size >= largeFile {
		w.add(&w.large, Warning{Path: name, Kind: Large, Size: size, Reason: "large file"})
	}
}

func (w *warnings) add(list *[]Warning, warning Warning) {
	if len(*list) == warningLimit {
		w.more++
		return
	}
	*list = append(*list, warning)
}

// all returns them sorted, and how many there are beside. Size is that of the
// whole content.
func (w *warnings) all(size int64) (list []Warning, more int) {
	byPath := func(a, b Warning) int { return strings.Compare(a.Path, b.Path) }
	slices.SortFunc(w.secrets, byPath)
	slices.SortFunc(w.large, byPath)
	if size >= largeContext {
		whole := Warning{Path: ".", Kind: Large, Size: size, Reason: "large build context"}
		w.large = slices.Insert(w.large, 0, whole)
	}
	list = slices.Concat(w.secrets, w.large)
	kept := min(len(list), warningLimit)
	return list[:kept:kept], w.more + len(list) - kept
}

// secretName returns what a file is by its name, or nothing. These names are of
// files that hold nothing but secrets. Keys in PEM form are not among them: their
// names are those of certificates as well, and their text tells.
func secretName(name string) string {
	lower := strings.ToLower(name)
	base := path.Base(lower)
	switch base {
	case ".netrc", "_netrc", ".git-credentials":
		return "logins"
	case ".pypirc":
		return "login of a package index"
	case ".htpasswd", ".pgpass":
		return "passwords"
	case ".my.cnf":
		return "login of a database"
	case ".vault-token":
		return "token"
	case "id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk":
		return "SSH key"
	case "kubeconfig":
		return "kubeconfig"
	case "credentials.json", "application_default_credentials.json":
		return "credentials"
	case ".dockercfg", ".dockerconfigjson":
		return "logins of registries"
	}
	switch path.Ext(base) {
	case ".ppk":
		return "SSH key"
	case ".p12", ".pfx", ".jks", ".keystore":
		return "key store"
	case ".kdbx":
		return "password store"
	case ".kubeconfig":
		return "kubeconfig"
	case ".tfstate":
		return "Terraform state"
	case ".json":
		if strings.HasPrefix(base, "client_secret") {
			return "credentials"
		}
	}
	switch path.Base(path.Dir(lower)) + "/" + base {
	case ".kube/config":
		return "kubeconfig"
	case ".aws/credentials":
		return "credentials"
	case ".docker/config.json":
		return "logins of registries"
	case ".streamlit/secrets.toml":
		return "secrets"
	}
	if base == ".env" || (strings.HasPrefix(base, ".env.") && !showsHow(base)) {
		return "environment file"
	}
	return ""
}

// showsHow says whether a file, by its ending, only shows what to write into one.
func showsHow(base string) bool {
	switch path.Ext(base) {
	case ".example", ".sample", ".template", ".tmpl", ".dist", ".defaults":
		return true
	}
	return false
}

var (
	// privateKey is the first line of a key in PEM form, at the start of a line or
	// of a text in JSON or YAML, and what follows it in a key that is one: a line of
	// base64, or a header. The words alone are in many a program.
	privateKey = regexp.MustCompile(`(?m)(?:^|")[ \t]*-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|\\r)+(?:[A-Za-z0-9+/=]{16}|[A-Z][A-Za-z-]*: )`)
	clientKey  = regexp.MustCompile(`(?m)^[ \t]*(?:- )?client-key-data:[ \t]*"?[A-Za-z0-9+/=]{16}`)
	npmToken   = regexp.MustCompile(`(?m)^[ \t]*[^#;\s]*:_(?:authToken|password)[ \t]*=[ \t]*[^\s$]`)
)

// secretContent returns what a file is by its text, or nothing.
func secretContent(text []byte) string {
	switch {
	case bytes.Contains(text, []byte("PRIVATE KEY")) && privateKey.Match(text):
		return "private key"
	case bytes.Contains(text, []byte("client-key-data:")) && clientKey.Match(text):
		return "kubeconfig"
	case bytes.Contains(text, []byte(":_")) && npmToken.Match(text):
		return "login of a package index"
	}
	return ""
}

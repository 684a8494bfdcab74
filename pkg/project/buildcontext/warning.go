package buildcontext

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// WarningKind is the reason for a warning.
type WarningKind string

// The kinds.
const (
	// Secret is a file that looks like a password or a key by its name, or in a directory for
	// tests and examples by its content. Everyone who may read the registry or the image could
	// read it.
	Secret WarningKind = "Secret"
	// Large is a file or a whole context that takes long to upload.
	Large WarningKind = "Large"
	// LeftOut is an entry that is not packed, as docker leaves it out or no image can use it.
	LeftOut WarningKind = "LeftOut"
	// Outside is a symbolic link that leads out of the context. It is packed as it is.
	Outside WarningKind = "Outside"
	// SpecialMode is a directory whose set-group-ID or sticky bit is not packed.
	SpecialMode WarningKind = "SpecialMode"
)

const (
	// largeFile and largeContext are the sizes from which Pack warns.
	largeFile    = 50 << 20
	largeContext = 200 << 20
	// secretLimit is the size up to which the content of a file is searched for secrets: a
	// key is small, and a file of that size is read in one piece.
	secretLimit  = chunk
	warningLimit = 100
)

// Warning is a packed file that should probably stay out, or one that was left out.
type Warning struct {
	// Path is relative to the directory, with slashes; "." is the whole context.
	Path string
	Kind WarningKind
	// Size is in bytes.
	Size int64
	// Reason is what the file is or looks like, as a short phrase; of a link its target.
	Reason string
}

// String returns one line: the path, quoted if it has characters that do not print, and the
// reason.
func (w Warning) String() string {
	switch {
	case w.Kind == Secret:
		return quoted(w.Path) + " looks like a secret (" + w.Reason + ")"
	case w.Kind == LeftOut:
		return "left out: " + quoted(w.Path) + " is " + w.Reason
	case w.Kind == Outside:
		return quoted(w.Path) + " is a link out of the build context, to " + quoted(w.Reason) + ": the image gets the link, not the file"
	case w.Kind == SpecialMode:
		return quoted(w.Path) + " travels without its set-group-ID or sticky bit; to set it: RUN chmod"
	case w.Path == ".":
		return "the build context has " + humanize.IBytes(uint64(max(w.Size, 0)))
	}
	return quoted(w.Path) + " has " + humanize.IBytes(uint64(max(w.Size, 0)))
}

// warnings collects warnings while files are packed. Each kind has its own limit, so that
// many large files do not hide a key.
type warnings struct {
	secrets, others, large []Warning
	more                   int
}

// file adds the warnings of a packed file. content is the secret that its text looks like.
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

// all returns the warnings, sorted, and the number of further ones. size is that of the whole
// content.
func (w *warnings) all(size int64) (list []Warning, more int) {
	byPath := func(a, b Warning) int { return strings.Compare(a.Path, b.Path) }
	slices.SortFunc(w.secrets, byPath)
	slices.SortFunc(w.others, byPath)
	slices.SortFunc(w.large, byPath)
	if size >= largeContext {
		whole := Warning{Path: ".", Kind: Large, Size: size, Reason: "large build context"}
		w.large = slices.Insert(w.large, 0, whole)
	}
	list = slices.Concat(w.secrets, w.others, w.large)
	kept := min(len(list), warningLimit)
	return list[:kept:kept], w.more + len(list) - kept
}

// secretName returns the kind of secret that a file name stands for, or nothing. Files of
// these names hold only secrets. Keys in PEM form are not among them, because certificates
// have the same names: secret.InFile recognizes them.
func secretName(name string) string {
	lower := strings.ToLower(name)
	base := path.Base(lower)
	switch base {
	case ".netrc", "_netrc", ".git-credentials":
		return "credentials"
	case ".pypirc":
		return "credentials of a package index"
	case ".htpasswd", ".pgpass":
		return "passwords"
	case ".my.cnf":
		return "credentials of a database"
	case ".vault-token":
		return "token"
	case "id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk":
		return "SSH key"
	case "kubeconfig":
		return "kubeconfig"
	case "credentials.json", "application_default_credentials.json":
		return "credentials"
	case ".dockercfg", ".dockerconfigjson":
		return "credentials of registries"
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
		return "credentials of registries"
	case ".streamlit/secrets.toml":
		return "secrets"
	}
	if base == ".env" || (strings.HasPrefix(base, ".env.") && !isExample(base)) {
		return "environment file"
	}
	return ""
}

// isExample reports whether a file is an example of an environment file, by its ending.
func isExample(base string) bool {
	switch path.Ext(base) {
	case ".example", ".sample", ".template", ".tmpl", ".dist", ".defaults":
		return true
	}
	return false
}

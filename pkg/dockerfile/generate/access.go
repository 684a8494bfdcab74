package generate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// indexScript is the program that prints the addresses of indexes with their logins.
const indexScript = "indexes.py"

// The files that a user may give as secrets, and where pip and git find them.
const (
	netrc   = "netrc"
	pipConf = "pip.conf"
)

// wellKnown returns the files that a user may give as secrets, with their places.
func wellKnown() map[string]string {
	return map[string]string{netrc: "/root/.netrc", pipConf: "/etc/pip.conf"}
}

// WellKnown returns the IDs of secrets that are mounted wherever pip runs if they are among
// Options.Secrets, sorted: files in which pip and git look for logins and indexes.
func WellKnown() []string { return []string{netrc, pipConf} }

// sshKey is where a RUN has the key for ssh.
const sshKey = "/dev/shm/" + detect.SSHKey

// reach is what a RUN needs to get packages that are not public.
type reach struct {
	// mounts are the flags of the RUN.
	mounts []string
	// script prints the addresses of indexes; nil if none of them has a login.
	script []string
	// exports are the commands that come first.
	exports []string
}

// reachOf returns what the installation of some sets needs.
func reachOf(p *plan, sets ...detect.Dependencies) reach {
	var secrets []detect.Secret
	var all detect.Access
	hashed := true
	for _, set := range sets {
		hashed = hashed && set.Hashed
		secrets = append(secrets, set.Access.Secrets...)
		all.Git = append(all.Git, set.Access.Git...)
		all.SSH = all.SSH || set.Access.SSH
		for _, index := range set.Access.Indexes {
			if !slices.Contains(all.Indexes, index) {
				all.Indexes = append(all.Indexes, index)
			}
		}
	}
	r := reach{mounts: slices.Concat(mounts(secrets), givenFiles(p)), exports: trimmed(secrets)}
	r.indexes(all.Indexes, func(index packaging.Index) bool { return !hashed || logsIn(p, index) })
	r.git(all)
	return r
}

// logsIn reports whether the build logs in to an index.
func logsIn(p *plan, index packaging.Index) bool {
	for name, required := range index.Variables() {
		if required || slices.Contains(p.given, name) {
			return true
		}
	}
	return false
}

// trimmed returns the commands that cut the newline that editors and echo put behind a token:
// it would break an address.
func trimmed(secrets []detect.Secret) []string {
	var names []string
	for _, secret := range secrets {
		if secret.Variable != "" {
			names = unite(names, []string{secret.Variable})
		}
	}
	return each1(names, func(name string) string {
		return name + `="$(printf %s "$` + name + `" | tr -d '\r\n')"`
	})
}

// mounts returns the flags of a RUN that takes secrets, each once, sorted.
func mounts(secrets []detect.Secret) []string {
	flags, required := map[string]string{}, map[string]bool{}
	var ids []string
	for _, secret := range secrets {
		flags[secret.ID] = "--mount=type=secret,id=" + secret.ID
		if secret.Variable != "" {
			flags[secret.ID] += ",env=" + secret.Variable
		}
		required[secret.ID] = required[secret.ID] || secret.Required
		ids = unite(ids, []string{secret.ID})
	}
	var found []string
	for _, id := range ids {
		flag := flags[id]
		if required[id] {
			flag += ",required=true"
		}
		found = append(found, flag)
	}
	return found
}

// givenFiles returns the flags for the files that the user gives.
func givenFiles(p *plan) []string {
	var found []string
	for _, id := range WellKnown() {
		if slices.Contains(p.given, id) {
			found = append(found, "--mount=type=secret,id="+id+",target="+wellKnown()[id]+",required=true")
		}
	}
	return found
}

// indexes tells pip of indexes, by variables: a program's arguments are seen by others. replaces
// reports of a default one whether it counts even if the builds have one of their own.
func (r *reach) indexes(indexes []packaging.Index, replaces func(packaging.Index) bool) {
	login := slices.ContainsFunc(indexes, func(index packaging.Index) bool { return len(index.Variables()) > 0 })
	byVariable := map[string][]packaging.Index{}
	for _, index := range indexes {
		name := "PIP_EXTRA_INDEX_URL"
		switch {
		case index.Flat:
			name = "PIP_FIND_LINKS"
		case index.Default && len(byVariable["PIP_INDEX_URL"]) == 0:
			name = "PIP_INDEX_URL"
		}
		byVariable[name] = append(byVariable[name], index)
	}
	var cases []string
	for _, name := range []string{"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"} {
		if len(byVariable[name]) == 0 {
			continue
		}
		text := strings.Join(each1(byVariable[name], func(index packaging.Index) string { return index.URL }), " ")
		if login {
			cases = append(cases, "    "+strconv.Quote(name)+": ["+strings.Join(each1(byVariable[name], expression), ", ")+"],")
			text = "$(python " + indexScript + " " + name + ")"
		}
		switch {
		case name != "PIP_INDEX_URL":
			text += " $" + name // the builds' own count as well
		case !replaces(byVariable[name][0]):
			text = "${" + name + ":-" + text + "}"
		}
		// An assignment fails with its command; export alone does not, and pip would use the
		// public index.
		r.exports = append(r.exports, name+`="`+text+`" && export `+name)
	}
	if login {
		r.script = slices.Concat(indexProgram(), []string{"addresses = {"}, cases, []string{"}", "print(*addresses[sys.argv[1]])"})
	}
}

// each1 returns what a function makes of every value.
func each1[T any](values []T, text func(T) string) []string {
	found := make([]string, 0, len(values))
	for _, value := range values {
		found = append(found, text(value))
	}
	return found
}

// indexProgram is the start of the program that prints addresses.
func indexProgram() []string {
	return []string{
		"import os, sys",
		"from urllib.parse import quote",
		"",
		"def secret(name):",
		`    return quote(os.environ.get(name, ""), safe="")`,
		"",
		"def address(url, user, password):",
		`    login = user + (password and ":" + password)`,
		`    return url.replace("://", "://" + (login and login + "@"), 1)`,
		"",
	}
}

// expression is the Python expression of an index's address.
func expression(index packaging.Index) string {
	half := func(credential packaging.Credential) string {
		switch {
		case credential.Variable != "":
			return `secret("` + credential.Variable + `")`
		case len(packaging.Variables(credential.Text)) > 0:
			return "os.path.expandvars(" + strconv.Quote(credential.Text) + ")"
		}
		return strconv.Quote(credential.Text)
	}
	url := strconv.Quote(index.URL)
	if len(packaging.Variables(index.URL)) > 0 {
		url = "os.path.expandvars(" + url + ")"
	}
	return "address(" + url + ", " + half(index.User) + ", " + half(index.Password) + ")"
}

// git tells git of logins, by variables. An address with a login would be an argument of
// git, and stay in the configuration of a clone.
func (r *reach) git(access detect.Access) {
	var hosts []string
	var words []string
	for _, login := range access.Git {
		if slices.Contains(hosts, login.Host) {
			continue
		}
		n := len(hosts)
		hosts = append(hosts, login.Host)
		words = append(words, fmt.Sprintf("GIT_CONFIG_KEY_%d=credential.%s.helper", n, login.Host),
			fmt.Sprintf(`GIT_CONFIG_VALUE_%d='!f() { printf "%%s\n" "username=%s" "password=%s"; }; f'`, n, login.User, login.Password))
	}
	if len(hosts) > 0 {
		r.exports = append(r.exports, fmt.Sprintf("export GIT_CONFIG_COUNT=%d%s", len(hosts), each("\n", words)))
	}
	if access.SSH {
		// ssh takes no key without a newline at its end, which editors leave out. In memory, no
		// layer can have it.
		r.exports = append(r.exports, "trap 'rm -f "+sshKey+"' EXIT",
			"(umask 077 && { tr -d '\\r' < /run/secrets/"+detect.SSHKey+"; echo; } > "+sshKey+")",
			`export GIT_SSH_COMMAND="ssh -F none -i `+sshKey+" -o IdentitiesOnly=yes -o BatchMode=yes"+
				"\n-o StrictHostKeyChecking=yes -o UserKnownHostsFile=/run/secrets/"+detect.KnownHosts+`"`)
	}
}

// withoutLogins is the expression for sed that removes logins of git from addresses.
const withoutLogins = `s#(git\+https?://)[^/@]*\$[^/@]*@#\1#g`

// before writes what a RUN with the commands needs before it, and returns the commands with
// those that come first.
func (r reach) before(w *writer, commands ...string) []string {
	if len(r.script) > 0 {
		w.note("The addresses of the project's indexes, with the logins that the RUN below gets. They go into variables: others see the arguments of a program.")
		w.heredoc(indexScript, r.script)
	}
	return slices.Concat(r.exports, commands)
}

// note writes a comment about the mounts.
func (r reach) note(w *writer) {
	if len(r.mounts) > 0 {
		text := "Secrets that this RUN alone gets, from --build-secret: neither a layer nor a cached one has them."
		if slices.ContainsFunc(r.mounts, func(mount string) bool { return strings.Contains(mount, ",env=") }) {
			text += " A newline at the end of a variable is cut."
		}
		w.note(text)
	}
}

package detect

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python"
)

// serverVersion is the version of a server for some versions of Python.
type serverVersion struct {
	server, version string
	// pythons are the versions of Python that it is for; all others without any.
	pythons []string
}

// serverVersions returns the versions of servers that are installed if a project names
// none: the newest as of 2026-11 for each version of Python.
func serverVersions() []serverVersion {
	return []serverVersion{
		{"uvicorn", "0.33.0", []string{"3.8"}},
		{"uvicorn", "0.39.0", []string{"3.9"}},
		{"uvicorn", "0.54.0", nil},
		{"hypercorn", "0.17.3", []string{"3.8", "3.9"}},
		{"hypercorn", "0.18.0", nil},
		{"gunicorn", "23.0.0", []string{"3.8", "3.9"}},
		{"gunicorn", "27.0.1", nil},
	}
}

// versionFor returns the version of a server for a version of Python.
func versionFor(server, python string) string {
	versions := serverVersions()
	at := slices.IndexFunc(versions, func(one serverVersion) bool {
		return one.server == server && (len(one.pythons) == 0 || slices.Contains(one.pythons, python))
	})
	return versions[at].version
}

// chosenServer is the server of an app.
type chosenServer struct {
	name string
	// extra is the requirement to install as the project does not have the server, or
	// empty.
	extra string
	notes
}

// chooseServer returns the server of an app; nothing without an app.
func chooseServer(app *App, packages installed, python string) chosenServer {
	chosen := chosenServer{}
	if app == nil {
		return chosen
	}
	chosen.name = app.Server
	if chosen.name == "uvicorn" && !packages.has("uvicorn") && packages.has("hypercorn") {
		chosen.name = "hypercorn"
	}
	if len(packages) == 0 {
		chosen.warn("no dependencies are written down, and %s needs some: name them in requirements.txt, or lock them with uv, Poetry or Pipenv", app.File)
	}
	one, ok := packages.find(chosen.name)
	switch {
	case ok && one.Name == chosen.name:
		chosen.found("server", chosen.name, one.Position.String())
	case ok:
		chosen.found("server", chosen.name, "comes with "+one.Name)
	default:
		chosen.extra = chosen.name + "==" + versionFor(chosen.name, python)
		chosen.found("server", chosen.extra, "default")
		chosen.warn("%s is not among the dependencies, so %s is installed; add it to have its version locked", chosen.name, chosen.extra)
	}
	return chosen
}

// firstPort is the first port that needs no root.
const firstPort = 1024

// chosenPort is the port that an app listens on.
type chosenPort struct {
	number int
	notes
}

// choosePort returns the port of the user, else the first that a file names, else the
// default.
func choosePort(hints []hint, options Options) chosenPort {
	chosen := chosenPort{number: python.DefaultPort}
	source := "default"
	hinted := slices.IndexFunc(hints, func(h hint) bool { return h.port != 0 })
	switch {
	case options.Port != 0:
		chosen.number, source = options.Port, cmp.Or(options.PortSource, "--port")
		if options.Port < firstPort {
			chosen.warn("%s says port %d, which needs root on some clusters, and the service is not root: choose one from %d on", source, options.Port, firstPort)
		}
	case hinted < 0:
	case hints[hinted].port < firstPort:
		chosen.warn("%s says port %d, which needs root; the service is not root and listens on %d", hints[hinted].source, hints[hinted].port, chosen.number)
	default:
		chosen.number, source = hints[hinted].port, hints[hinted].source
	}
	chosen.found("port", strconv.Itoa(chosen.number), source)
	return chosen
}

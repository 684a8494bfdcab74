package debianbase

import "github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"

const (
	// pythonMinor is the version that the suite has.
	pythonMinor = "3.13"

	systemPath = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Images are all images that are built from Debian packages.
func Images() []Image {
	return []Image{
		{
			Repository: "library/python",
			Tags:       []string{pythonMinor + "-slim", pythonMinor, pythonMinor + "-slim-" + suite},
			Config:     oci.Config{Env: []string{systemPath, "LANG=C.UTF-8"}, Cmd: []string{"python3"}},
			packages:   "python3,python3-venv,ca-certificates",
			// They turn Debian's Python into what the official image has: `python`
			// and `pip` in /usr/local, which install into its site-packages. A
			// virtual environment at that place does exactly this, while
			// /usr/bin/python3 would refuse to install and use Debian's own
			// directory layout.
			hooks: []string{
				`chroot "$1" python3 -m venv --system-site-packages /usr/local`,
				`chroot "$1" python3 -c "import platform; print('PYTHON_VERSION=' + platform.python_version())" > "$ENVIRONMENT"`,
				`find "$1/usr" "$1/var" -name __pycache__ -type d -prune -exec rm -rf {} +`,
			},
		},
		{
			Repository: "alpine/git",
			// As in the platform's manifests; the version that the suite has is
			// another one.
			Tags:     []string{"v2.49.1"},
			Config:   oci.Config{Env: []string{systemPath}, WorkingDir: "/git", Entrypoint: []string{"git"}},
			packages: "git,openssh-client,ca-certificates",
			hooks: []string{
				`mkdir "$1/git"`,
				// Git's programs in Perl are for mail and other version control.
				`rm -rf "$1"/usr/share/perl "$1"/usr/lib/*/perl`,
			},
		},
	}
}

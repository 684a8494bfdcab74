package debianbase

import (
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"
)

const (
	// pythonMinor is the version that the suite has.
	pythonMinor = "3.13"

	systemPath = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"

	// nonroot is the user that distroless images call nonroot.
	nonroot = "65532"
)

// Images are all images that are built from Debian packages.
func Images() []Image {
	return []Image{
		{
			Repository: "docker.io/library/python",
			Tags:       []string{pythonMinor + "-slim", pythonMinor + "-slim-" + suite},
			Config:     pythonConfig(),
			packages:   "python3,python3-venv,ca-certificates",
			// The official image has Python's headers, without a compiler and a C
			// library to use them with, which Debian's package would bring along.
			hooks: append([]string{
				`chroot "$1" sh -c 'cd /tmp && apt-get -qq download libpython` + pythonMinor + `-dev'`,
				`dpkg-deb --fsys-tarfile "$1"/tmp/libpython*.deb | tar -C "$1" -x --wildcards './usr/include/*' && rm "$1"/tmp/libpython*.deb`,
			}, pythonHooks()...),
		},
		{
			Repository: "docker.io/library/python",
			Tags:       []string{pythonMinor, pythonMinor + "-" + suite},
			Config:     pythonConfig(),
			packages:   strings.Join(append(buildpackDeps(), "python3", "python3-venv", "python3-dev"), ","),
			hooks:      pythonHooks(),
		},
		{
			Repository: "gcr.io/distroless/python3-debian13",
			Tags:       []string{"nonroot"},
			Config: oci.Config{
				User: nonroot, WorkingDir: "/home/nonroot",
				Env: []string{
					"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "LANG=C.UTF-8",
				},
				Entrypoint: []string{"/usr/bin/python" + pythonMinor},
			},
			variant: extract,
			// As the project's python3/ and cc/ list them; what they need comes along.
			packages: "base-files,ca-certificates,libgomp1,libstdc++6,media-types,netbase,tzdata," +
				"python" + pythonMinor + "-minimal,libpython" + pythonMinor + "-stdlib",
			hooks: []string{
				`cat "$1"/usr/share/ca-certificates/mozilla/*.crt > "$1/etc/ssl/certs/ca-certificates.crt"`,
				`printf 'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:` +
					nonroot + `:` + nonroot + `:nonroot:/home/nonroot:/sbin/nologin\n' > "$1/etc/passwd"`,
				`printf 'root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:` + nonroot + `:\n' > "$1/etc/group"`,
				`install -d -m 0700 -o ` + nonroot + ` -g ` + nonroot + ` "$1/home/nonroot" && install -d -m 1777 "$1/tmp"`,
				// No program but Python, and nothing that only the others use.
				`find "$1/usr/bin" "$1/usr/sbin" ! -type d ! -name python` + pythonMinor + ` -delete`,
				`ln -s python` + pythonMinor + ` "$1/usr/bin/python3" && ln -s python` + pythonMinor + ` "$1/usr/bin/python"`,
				`rm -rf "$1"/usr/share/perl* "$1"/usr/lib/*/perl* "$1/usr/lib/dpkg" "$1/usr/share/dpkg" "$1/etc/dpkg" "$1/usr/share/debconf"`,
			},
		},
		{
			Repository: "docker.io/library/busybox",
			Tags:       []string{"1.37"},
			Config:     oci.Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}},
			variant:    extract,
			packages:   "busybox-static",
			hooks: []string{
				// As published: one program, and a link to it for each command.
				`mv "$1/usr/bin/busybox" "$1/busybox" && rm -rf "$1/usr" "$1/bin" "$1/sbin" "$1"/lib* && mkdir -p "$1/bin" "$1/etc" && mv "$1/busybox" "$1/bin/"`,
				`"$1/bin/busybox" --list | while read -r name; do [ -e "$1/bin/$name" ] || ln -s busybox "$1/bin/$name"; done`,
				`printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' > "$1/etc/passwd"`,
				`printf 'root:x:0:\nnobody:x:65534:\n' > "$1/etc/group"`,
				`install -d -m 1777 "$1/tmp" && install -d -m 0700 "$1/root"`,
			},
		},
		{
			Repository: "docker.io/alpine/git",
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

func pythonConfig() oci.Config {
	return oci.Config{Env: []string{systemPath, "LANG=C.UTF-8"}, Cmd: []string{"python3"}}
}

// pythonHooks turn Debian's Python into what the official image has: `python`
// and `pip` in /usr/local, which install into its site-packages. A virtual
// environment at that place does exactly this, while /usr/bin/python3 would
// refuse to install and use Debian's own directory layout.
func pythonHooks() []string {
	return []string{
		`chroot "$1" python3 -m venv --system-site-packages /usr/local`,
		`chroot "$1" python3 -c "import platform; print('PYTHON_VERSION=' + platform.python_version())" > "$ENVIRONMENT"`,
		`find "$1/usr" "$1/var" -name __pycache__ -type d -prune -exec rm -rf {} +`,
	}
}

// buildpackDeps are the packages that the official image of Python adds to
// Debian's: those that the Dockerfiles of docker-library's buildpack-deps name
// for trixie (curl, scm, and the image itself), and of its python for 3.13.
func buildpackDeps() []string {
	return []string{
		"ca-certificates", "curl", "gnupg", "netbase", "sq", "tzdata", "wget",
		"git", "mercurial", "openssh-client", "procps", "subversion",
		"autoconf", "automake", "bzip2", "default-libmysqlclient-dev", "dpkg-dev", "file", "g++", "gcc",
		"imagemagick", "libbz2-dev", "libc6-dev", "libcurl4-openssl-dev", "libdb-dev", "libevent-dev",
		"libffi-dev", "libgdbm-dev", "libglib2.0-dev", "libgmp-dev", "libjpeg-dev", "libkrb5-dev",
		"liblzma-dev", "libmagickcore-dev", "libmagickwand-dev", "libmaxminddb-dev", "libncurses5-dev",
		"libncursesw5-dev", "libpng-dev", "libpq-dev", "libreadline-dev", "libsqlite3-dev", "libssl-dev",
		"libtool", "libwebp-dev", "libxml2-dev", "libxslt1-dev", "libyaml-dev", "make", "patch", "unzip",
		"xz-utils", "zlib1g-dev",
		"libbluetooth-dev", "tk-dev", "uuid-dev",
	}
}

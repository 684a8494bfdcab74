package detect

import (
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// needs are the Debian packages of one Python package.
type needs struct {
	build, run []string
}

// compiler is what every package without wheels needs.
const compiler = "build-essential"

// libraryRow is the needs of some Python packages.
type libraryRow struct {
	names []string
	needs
}

// libraries are the Debian packages of a project.
type libraries struct {
	Libraries
	notes
}

// findLibraries returns the Debian packages that the installed packages need.
func findLibraries(packages installed) libraries {
	found := libraries{}
	table := libraryTable()
	for _, one := range packages {
		found.need(one, needsOf(table, packages, one))
		if strings.HasPrefix(one.URL, "git+") {
			found.need(one, needs{build: []string{"git"}})
		}
		if one.IsSSH() {
			found.need(one, needs{build: []string{"openssh-client"}})
		}
	}
	found.Build = slices.Compact(slices.Sorted(slices.Values(found.Build)))
	found.Run = slices.Compact(slices.Sorted(slices.Values(found.Run)))
	return found
}

// needsOf returns what a package needs with the extras that are asked for.
func needsOf(table map[string]needs, packages installed, one packaging.Requirement) needs {
	for _, extra := range one.Extras {
		if n, ok := table[one.Name+"["+extra+"]"]; ok {
			return n
		}
	}
	if one.Name == "psycopg" && packages.has("psycopg-binary") {
		return needs{} // the other package has the library
	}
	return table[one.Name]
}

// need adds what a package needs.
func (l *libraries) need(one packaging.Requirement, n needs) {
	l.Build = append(l.Build, n.build...)
	l.Run = append(l.Run, n.run...)
	all := slices.Concat(n.build, n.run)
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	l.found("library", strings.Join(slices.Compact(all), ", "), one.Name+" in "+one.Position.String())
}

// libraryTable returns libraryRows by the name of the Python package.
func libraryTable() map[string]needs {
	table := map[string]needs{}
	for _, row := range libraryRows() {
		for _, name := range row.names {
			table[name] = row.needs
		}
	}
	return table
}

// libraryRows returns the packages of Debian 13 (trixie) that Python packages need on
// the slim image of Python, which has none of them. The installation manual of each one
// lists its libraries; their names are those of packages.debian.org for trixie. Packages
// that bring all they need in their wheels have a row without needs, which shows that
// they were considered. An extra such as psycopg[c] has a row of its own.
func libraryRows() []libraryRow {
	return []libraryRow{
		// Databases.
		{[]string{"psycopg2"}, needs{[]string{compiler, "libpq-dev"}, []string{"libpq5"}}}, // https://www.psycopg.org/docs/install.html: no wheels, pg_config and a compiler
		{[]string{"psycopg2-binary"}, needs{}},                                             // the wheel holds libpq
		{[]string{"psycopg"}, needs{nil, []string{"libpq5"}}},                              // https://www.psycopg.org/psycopg3/docs/basic/install.html: pure Python, libpq through ctypes
		{[]string{"psycopg[binary]", "psycopg-binary"}, needs{}},
		{[]string{"psycopg[c]", "psycopg-c"}, needs{[]string{compiler, "libpq-dev"}, []string{"libpq5"}}},
		{[]string{"asyncpg", "aiosqlite", "pymysql", "aiomysql", "oracledb", "redis", "hiredis", "pymongo", "motor", "sqlalchemy", "greenlet", "duckdb", "clickhouse-driver"}, needs{}},
		{[]string{"mysqlclient"}, needs{[]string{compiler, "default-libmysqlclient-dev", "pkg-config"}, []string{"libmariadb3"}}}, // https://github.com/PyMySQL/mysqlclient: no wheels for Linux
		{[]string{"mariadb"}, needs{[]string{compiler, "libmariadb-dev"}, []string{"libmariadb3"}}},                               // MariaDB Connector/C
		{[]string{"pyodbc"}, needs{nil, []string{"unixodbc"}}},                                                                    // https://github.com/mkleehammer/pyodbc/wiki/Install: the wheel wants libodbc of the system
		{[]string{"pymssql"}, needs{}},                              // FreeTDS is in the wheel
		{[]string{"cx-oracle"}, needs{nil, []string{"libaio1t64"}}}, // the wheel loads Oracle's client, which is not in Debian, and that wants libaio
		{[]string{"pylibmc"}, needs{[]string{compiler, "libmemcached-dev", "zlib1g-dev"}, []string{"libhashkit2t64", "libmemcached11t64"}}}, // https://sendapatch.se/projects/pylibmc/install.html
		{[]string{"pysqlcipher3"}, needs{[]string{compiler, "libsqlcipher-dev"}, []string{"libsqlcipher1"}}},
		{[]string{"rocksdb", "python-rocksdb"}, needs{[]string{compiler, "librocksdb-dev"}, []string{"librocksdb9.10"}}},
		{[]string{"confluent-kafka"}, needs{}}, // librdkafka is in the wheel

		// XML, directories, security.
		{[]string{"lxml", "lxml-html-clean", "cryptography", "bcrypt", "argon2-cffi", "cffi", "pynacl", "orjson", "msgpack", "ujson", "pyyaml"}, needs{}},
		{[]string{"xmlsec", "python3-saml"}, needs{[]string{compiler, "libltdl-dev", "libxml2-dev", "libxmlsec1-dev", "libxmlsec1t64-openssl", "pkg-config"}, []string{"libxml2", "libxmlsec1t64", "libxmlsec1t64-openssl"}}}, // https://github.com/xmlsec/python-xmlsec: compiled against libxml2 and xmlsec1
		{[]string{"python-ldap", "django-auth-ldap"}, needs{[]string{compiler, "libldap-dev", "libsasl2-dev"}, []string{"libldap2", "libsasl2-2"}}},                                                                           // https://www.python-ldap.org/en/latest/installing.html
		{[]string{"m2crypto"}, needs{[]string{compiler, "libssl-dev", "swig"}, []string{"libssl3t64"}}},                                                                                                                       // https://gitlab.com/m2crypto/m2crypto/-/blob/master/INSTALL.rst
		{[]string{"gssapi", "requests-gssapi", "pykerberos", "kerberos"}, needs{[]string{compiler, "libkrb5-dev"}, []string{"libgssapi-krb5-2"}}},
		{[]string{"pyscard"}, needs{[]string{compiler, "libpcsclite-dev", "swig"}, []string{"libpcsclite1"}}},
		{[]string{"python-pam", "pam"}, needs{nil, []string{"libpam0g"}}},

		// Images, documents, media.
		{[]string{"pillow", "numpy", "scipy", "pandas", "pikepdf", "pymupdf", "matplotlib", "shapely", "rasterio", "fiona", "pyproj"}, needs{}},
		{[]string{"weasyprint"}, needs{nil, []string{"libharfbuzz-subset0", "libpango-1.0-0", "libpangoft2-1.0-0"}}}, // https://doc.courtbouillon.org/weasyprint/stable/first_steps.html
		{[]string{"cairosvg", "cairocffi"}, needs{nil, []string{"libcairo2"}}},                                       // https://doc.courtbouillon.org/cairocffi/stable/overview.html: libcairo by dlopen
		{[]string{"pycairo"}, needs{[]string{compiler, "libcairo2-dev", "pkg-config"}, []string{"libcairo2"}}},       // https://pycairo.readthedocs.io/en/latest/getting_started.html
		{[]string{"pygobject"}, needs{[]string{compiler, "libcairo2-dev", "libgirepository-2.0-dev", "pkg-config"}, []string{"libcairo2", "libgirepository-2.0-0"}}},
		{[]string{"opencv-python", "opencv-contrib-python"}, needs{nil, []string{"libgl1", "libglib2.0-0t64"}}}, // the wheel with windows wants GL and GLib
		{[]string{"opencv-python-headless", "opencv-contrib-python-headless"}, needs{}},
		{[]string{"pdf2image"}, needs{nil, []string{"poppler-utils"}}}, // https://github.com/Belval/pdf2image: runs pdftoppm
		{[]string{"pdftotext"}, needs{[]string{compiler, "libpoppler-cpp-dev", "pkg-config"}, []string{"libpoppler-cpp2"}}},
		{[]string{"pytesseract"}, needs{nil, []string{"tesseract-ocr"}}}, // https://github.com/madmaze/pytesseract: runs tesseract
		{[]string{"tesserocr"}, needs{nil, []string{"tesseract-ocr"}}},
		{[]string{"pyzbar"}, needs{nil, []string{"libzbar0t64"}}},                                      // libzbar by ctypes
		{[]string{"wand"}, needs{nil, []string{"libmagickwand-7.q16-10"}}},                             // https://docs.wand-py.org/en/latest/guide/install.html
		{[]string{"pydub", "ffmpeg-python", "moviepy"}, needs{nil, []string{"ffmpeg"}}},                // they run ffmpeg
		{[]string{"pyaudio"}, needs{[]string{compiler, "portaudio19-dev"}, []string{"libportaudio2"}}}, // https://people.csail.mit.edu/hubert/pyaudio/
		{[]string{"sounddevice"}, needs{nil, []string{"libportaudio2"}}},
		{[]string{"soundfile"}, needs{}},                           // libsndfile is in the wheel
		{[]string{"pyvips"}, needs{nil, []string{"libvips42t64"}}}, // https://github.com/libvips/pyvips: libvips by cffi
		{[]string{"pyvips-binary"}, needs{}},
		{[]string{"python-magic"}, needs{nil, []string{"libmagic1t64"}}}, // https://github.com/ahupp/python-magic: libmagic by ctypes
		{[]string{"python-magic-bin"}, needs{}},
		{[]string{"pdfkit", "imgkit"}, needs{}}, // they run wkhtmltopdf, which Debian 13 does not have

		// Geography, graphs, learning.
		{[]string{"gdal"}, needs{[]string{compiler, "libgdal-dev"}, []string{"libgdal36"}}},                        // https://gdal.org/en/stable/api/python/python_bindings.html
		{[]string{"pygraphviz"}, needs{[]string{compiler, "libgraphviz-dev", "pkg-config"}, []string{"graphviz"}}}, // https://pygraphviz.github.io/documentation/stable/install.html
		{[]string{"graphviz", "pydot"}, needs{nil, []string{"graphviz"}}},                                          // they run dot
		{[]string{"rtree"}, needs{}},                                        // libspatialindex is in the wheel
		{[]string{"dlib"}, needs{[]string{compiler, "cmake"}, nil}},         // https://github.com/davisking/dlib: no wheels
		{[]string{"lightgbm", "xgboost"}, needs{nil, []string{"libgomp1"}}}, // the wheels want OpenMP of the system
		{[]string{"scikit-learn", "torch", "tensorflow", "onnxruntime", "tokenizers", "sentencepiece"}, needs{}},

		// Servers and systems.
		{[]string{"uwsgi"}, needs{[]string{compiler, "libpcre2-dev"}, []string{"libpcre2-8-0"}}}, // https://uwsgi-docs.readthedocs.io/en/latest/Install.html: no wheels
		{[]string{"pyuwsgi", "gunicorn", "uvicorn", "uvloop", "httptools", "gevent", "psutil", "watchfiles", "websockets", "grpcio", "protobuf"}, needs{}},
		{[]string{"pycurl"}, needs{}}, // http://pycurl.io/docs/latest/install.html: wheels hold libcurl
		{[]string{"pycups"}, needs{[]string{compiler, "libcups2-dev"}, []string{"libcups2t64"}}},
		{[]string{"dbus-python"}, needs{[]string{compiler, "libdbus-1-dev", "libglib2.0-dev", "pkg-config"}, []string{"libdbus-1-3", "libglib2.0-0t64"}}},
		{[]string{"systemd-python"}, needs{[]string{compiler, "libsystemd-dev", "pkg-config"}, []string{"libsystemd0"}}},
		{[]string{"pyusb"}, needs{nil, []string{"libusb-1.0-0"}}},
		{[]string{"netifaces", "python-prctl", "pyahocorasick", "jnius"}, needs{[]string{compiler}, nil}},
		{[]string{"gitpython"}, needs{nil, []string{"git"}}}, // it runs git
		{[]string{"pygit2"}, needs{}},                                   // libgit2 is in the wheel
		{[]string{"pyenchant"}, needs{nil, []string{"libenchant-2-2"}}}, // https://pyenchant.github.io/pyenchant/install.html: libenchant by ctypes
		{[]string{"hunspell"}, needs{[]string{compiler, "libhunspell-dev"}, []string{"libhunspell-1.7-0"}}},
		{[]string{"pyicu"}, needs{[]string{compiler, "libicu-dev", "pkg-config"}, []string{"libicu76"}}}, // https://gitlab.pyicu.org/main/pyicu
	}
}

package detect

import (
	"slices"
	"strings"
)

// needs are the Debian packages of one Python package.
type needs struct {
	build, run []string
}

// compiler is what every package without wheels needs.
const compiler = "build-essential"

// librariesOf are the packages of Debian 13 (trixie) that a Python package needs on
// the slim image of Python, which has none of them. Which libraries each one needs
// is in its own installation manual; the names are those of packages.debian.org
// for trixie. Packages that bring all they need in their wheels are listed too,
// with nothing, so that it is known that they were thought of. An extra such as
// psycopg[c] has an entry of its own.
func librariesOf(name string) (needs, bool) {
	switch name {
	// Databases.
	case "psycopg2": // https://www.psycopg.org/docs/install.html: no wheels, pg_config and a compiler
		return needs{[]string{compiler, "libpq-dev"}, []string{"libpq5"}}, true
	case "psycopg2-binary": // the wheel holds libpq
		return needs{}, true
	case "psycopg": // https://www.psycopg.org/psycopg3/docs/basic/install.html: pure Python, libpq through ctypes
		return needs{nil, []string{"libpq5"}}, true
	case "psycopg[binary]", "psycopg-binary":
		return needs{}, true
	case "psycopg[c]", "psycopg-c":
		return needs{[]string{compiler, "libpq-dev"}, []string{"libpq5"}}, true
	case "asyncpg", "aiosqlite", "pymysql", "aiomysql", "oracledb", "redis", "hiredis", "pymongo", "motor", "sqlalchemy", "greenlet", "duckdb", "clickhouse-driver":
		return needs{}, true
	case "mysqlclient": // https://github.com/PyMySQL/mysqlclient: no wheels for Linux
		return needs{[]string{compiler, "default-libmysqlclient-dev", "pkg-config"}, []string{"libmariadb3"}}, true
	case "mariadb": // MariaDB Connector/C
		return needs{[]string{compiler, "libmariadb-dev"}, []string{"libmariadb3"}}, true
	case "pyodbc": // https://github.com/mkleehammer/pyodbc/wiki/Install: the wheel wants libodbc of the system
		return needs{nil, []string{"unixodbc"}}, true
	case "pymssql": // FreeTDS is in the wheel
		return needs{}, true
	case "cx-oracle": // the wheel loads Oracle's client, which is not in Debian, and that wants libaio
		return needs{nil, []string{"libaio1t64"}}, true
	case "pylibmc": // https://sendapatch.se/projects/pylibmc/install.html
		return needs{[]string{compiler, "libmemcached-dev", "zlib1g-dev"}, []string{"libhashkit2t64", "libmemcached11t64"}}, true
	case "pysqlcipher3":
		return needs{[]string{compiler, "libsqlcipher-dev"}, []string{"libsqlcipher1"}}, true
	case "rocksdb", "python-rocksdb":
		return needs{[]string{compiler, "librocksdb-dev"}, []string{"librocksdb9.10"}}, true
	case "confluent-kafka": // librdkafka is in the wheel
		return needs{}, true

	// XML, directories, security.
	case "lxml", "lxml-html-clean", "cryptography", "bcrypt", "argon2-cffi", "cffi", "pynacl", "orjson", "msgpack", "ujson", "pyyaml":
		return needs{}, true
	case "xmlsec", "python3-saml": // https://github.com/xmlsec/python-xmlsec: compiled against libxml2 and xmlsec1
		return needs{
			[]string{compiler, "libltdl-dev", "libxml2-dev", "libxmlsec1-dev", "libxmlsec1t64-openssl", "pkg-config"},
			[]string{"libxml2", "libxmlsec1t64", "libxmlsec1t64-openssl"},
		}, true
	case "python-ldap", "django-auth-ldap": // https://www.python-ldap.org/en/latest/installing.html
		return needs{[]string{compiler, "libldap-dev", "libsasl2-dev"}, []string{"libldap2", "libsasl2-2"}}, true
	case "m2crypto": // https://gitlab.com/m2crypto/m2crypto/-/blob/master/INSTALL.rst
		return needs{[]string{compiler, "libssl-dev", "swig"}, []string{"libssl3t64"}}, true
	case "gssapi", "requests-gssapi", "pykerberos", "kerberos":
		return needs{[]string{compiler, "libkrb5-dev"}, []string{"libgssapi-krb5-2"}}, true
	case "pyscard":
		return needs{[]string{compiler, "libpcsclite-dev", "swig"}, []string{"libpcsclite1"}}, true
	case "python-pam", "pam":
		return needs{nil, []string{"libpam0g"}}, true

	// Images, documents, media.
	case "pillow", "numpy", "scipy", "pandas", "pikepdf", "pymupdf", "matplotlib", "shapely", "rasterio", "fiona", "pyproj":
		return needs{}, true
	case "weasyprint": // https://doc.courtbouillon.org/weasyprint/stable/first_steps.html
		return needs{nil, []string{"libharfbuzz-subset0", "libpango-1.0-0", "libpangoft2-1.0-0"}}, true
	case "cairosvg", "cairocffi": // https://doc.courtbouillon.org/cairocffi/stable/overview.html: libcairo by dlopen
		return needs{nil, []string{"libcairo2"}}, true
	case "pycairo": // https://pycairo.readthedocs.io/en/latest/getting_started.html
		return needs{[]string{compiler, "libcairo2-dev", "pkg-config"}, []string{"libcairo2"}}, true
	case "pygobject":
		return needs{[]string{compiler, "libcairo2-dev", "libgirepository-2.0-dev", "pkg-config"}, []string{"libcairo2", "libgirepository-2.0-0"}}, true
	case "opencv-python", "opencv-contrib-python": // the wheel with windows wants GL and GLib
		return needs{nil, []string{"libgl1", "libglib2.0-0t64"}}, true
	case "opencv-python-headless", "opencv-contrib-python-headless":
		return needs{}, true
	case "pdf2image": // https://github.com/Belval/pdf2image: runs pdftoppm
		return needs{nil, []string{"poppler-utils"}}, true
	case "pdftotext":
		return needs{[]string{compiler, "libpoppler-cpp-dev", "pkg-config"}, []string{"libpoppler-cpp2"}}, true
	case "pytesseract": // https://github.com/madmaze/pytesseract: runs tesseract
		return needs{nil, []string{"tesseract-ocr"}}, true
	case "tesserocr":
		return needs{nil, []string{"tesseract-ocr"}}, true
	case "pyzbar": // libzbar by ctypes
		return needs{nil, []string{"libzbar0t64"}}, true
	case "wand": // https://docs.wand-py.org/en/latest/guide/install.html
		return needs{nil, []string{"libmagickwand-7.q16-10"}}, true
	case "pydub", "ffmpeg-python", "moviepy": // they run ffmpeg
		return needs{nil, []string{"ffmpeg"}}, true
	case "pyaudio": // https://people.csail.mit.edu/hubert/pyaudio/
		return needs{[]string{compiler, "portaudio19-dev"}, []string{"libportaudio2"}}, true
	case "sounddevice":
		return needs{nil, []string{"libportaudio2"}}, true
	case "soundfile": // libsndfile is in the wheel
		return needs{}, true
	case "pyvips": // https://github.com/libvips/pyvips: libvips by cffi
		return needs{nil, []string{"libvips42t64"}}, true
	case "pyvips-binary":
		return needs{}, true
	case "python-magic": // https://github.com/ahupp/python-magic: libmagic by ctypes
		return needs{nil, []string{"libmagic1t64"}}, true
	case "python-magic-bin":
		return needs{}, true
	case "pdfkit", "imgkit": // they run wkhtmltopdf, which Debian 13 does not have
		return needs{}, true

	// Geography, graphs, learning.
	case "gdal": // https://gdal.org/en/stable/api/python/python_bindings.html
		return needs{[]string{compiler, "libgdal-dev"}, []string{"libgdal36"}}, true
	case "pygraphviz": // https://pygraphviz.github.io/documentation/stable/install.html
		return needs{[]string{compiler, "libgraphviz-dev", "pkg-config"}, []string{"graphviz"}}, true
	case "graphviz", "pydot": // they run dot
		return needs{nil, []string{"graphviz"}}, true
	case "rtree": // libspatialindex is in the wheel
		return needs{}, true
	case "dlib": // https://github.com/davisking/dlib: no wheels
		return needs{[]string{compiler, "cmake"}, nil}, true
	case "lightgbm", "xgboost": // the wheels want OpenMP of the system
		return needs{nil, []string{"libgomp1"}}, true
	case "scikit-learn", "torch", "tensorflow", "onnxruntime", "tokenizers", "sentencepiece":
		return needs{}, true

	// Servers and systems.
	case "uwsgi": // https://uwsgi-docs.readthedocs.io/en/latest/Install.html: no wheels
		return needs{[]string{compiler, "libpcre2-dev"}, []string{"libpcre2-8-0"}}, true
	case "pyuwsgi", "gunicorn", "uvicorn", "uvloop", "httptools", "gevent", "psutil", "watchfiles", "websockets", "grpcio", "protobuf":
		return needs{}, true
	case "pycurl": // http://pycurl.io/docs/latest/install.html: wheels hold libcurl
		return needs{}, true
	case "pycups":
		return needs{[]string{compiler, "libcups2-dev"}, []string{"libcups2t64"}}, true
	case "dbus-python":
		return needs{[]string{compiler, "libdbus-1-dev", "libglib2.0-dev", "pkg-config"}, []string{"libdbus-1-3", "libglib2.0-0t64"}}, true
	case "systemd-python":
		return needs{[]string{compiler, "libsystemd-dev", "pkg-config"}, []string{"libsystemd0"}}, true
	case "pyusb":
		return needs{nil, []string{"libusb-1.0-0"}}, true
	case "netifaces", "python-prctl", "pyahocorasick", "jnius":
		return needs{[]string{compiler}, nil}, true
	case "gitpython": // it runs git
		return needs{nil, []string{"git"}}, true
	case "pygit2": // libgit2 is in the wheel
		return needs{}, true
	case "pyenchant": // https://pyenchant.github.io/pyenchant/install.html: libenchant by ctypes
		return needs{nil, []string{"libenchant-2-2"}}, true
	case "hunspell":
		return needs{[]string{compiler, "libhunspell-dev"}, []string{"libhunspell-1.7-0"}}, true
	case "pyicu": // https://gitlab.pyicu.org/main/pyicu
		return needs{[]string{compiler, "libicu-dev", "pkg-config"}, []string{"libicu76"}}, true
	}
	return needs{}, false
}

// libraries finds the Debian packages that the dependencies need.
func (f *finder) libraries() error {
	add := func(name string, n needs, source string) {
		f.project.Libraries.Build = append(f.project.Libraries.Build, n.build...)
		f.project.Libraries.Run = append(f.project.Libraries.Run, n.run...)
		if all := slices.Concat(n.build, n.run); len(all) > 0 {
			slices.Sort(all)
			f.found("library", strings.Join(slices.Compact(all), ", "), name+" in "+source)
		}
	}
	for _, one := range f.installed() {
		n, ok := needs{}, false
		for _, extra := range one.Extras {
			if n, ok = librariesOf(one.Name + "[" + extra + "]"); ok {
				break
			}
		}
		if !ok {
			// Another package of the lock may bring what this one would want.
			if n, ok = librariesOf(one.Name); one.Name == "psycopg" && f.installs("psycopg-binary") {
				n = needs{}
			}
		}
		if ok {
			add(one.Name, n, one.Source)
		}
		if strings.HasPrefix(one.URL, "git+") {
			add(one.Name, needs{build: []string{"git"}}, one.Source)
		}
	}
	for _, list := range []*[]string{&f.project.Libraries.Build, &f.project.Libraries.Run} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return nil
}

package scaffold

import (
	"fmt"
	"slices"
	"strings"
)

// PackageError reports a name of an app that cannot be that of a Python package.
type PackageError struct {
	// Name is that of the app, and Package that of its package.
	Name, Package string
	// Problem is the reason, as a clause.
	Problem string
}

// Error returns the reason, and suggests another name.
func (e *PackageError) Error() string {
	return fmt.Sprintf("%q cannot be the name of a new service: its Python package would be %s, and %s; use another name, such as %s-service",
		e.Name, e.Package, e.Problem, e.Name)
}

// PackageName returns the name of the Python package of an app with a valid name: an underscore
// for each run of hyphens. It returns a *PackageError for a keyword, and for a name that would
// hide a module of the standard library or of a package that a new service uses.
func PackageName(app string) (string, error) {
	name := strings.Join(strings.FieldsFunc(app, func(char rune) bool { return char == '-' }), "_")
	problem := ""
	switch {
	case slices.Contains(keywords(), name):
		problem = "that is a keyword of Python"
	case slices.Contains(standardLibrary(), name):
		problem = "it would hide that module of the standard library"
	case slices.Contains(installed(), name):
		problem = "it would hide the package of that name that the service uses"
	case slices.Contains([]string{"src", "tests", "conftest"}, name):
		problem = "that is the name of another part of the project"
	default:
		return name, nil
	}
	return "", &PackageError{Name: app, Package: name, Problem: problem}
}

// keywords returns the entries of keyword.kwlist and keyword.softkwlist that are in lower case.
func keywords() []string {
	return strings.Fields(`and as assert async await break case class continue def del elif else except finally for from
		global if import in is lambda match nonlocal not or pass raise return try type while with yield`)
}

// standardLibrary returns sys.stdlib_module_names of Python 3.11 to 3.14, without names that
// start with an underscore, which no app has. It adds test, which that list leaves out.
func standardLibrary() []string {
	return strings.Fields(`abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii
		bisect builtins bz2 calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys compileall
		compression concurrent configparser contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses
		datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno faulthandler fcntl filecmp
		fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib
		heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3
		linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt
		multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev pathlib pdb
		pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty pwd py_compile
		pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter runpy sched secrets
		select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile
		sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau symtable sys sysconfig syslog
		tabnanny tarfile telnetlib tempfile termios test textwrap this threading time timeit tkinter token tokenize tomllib
		trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid venv warnings
		wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo`)
}

// installed returns the import names of the packages that the lock files of the templates
// install.
func installed() []string {
	// Packages whose import name differs from their own name.
	names := []string{"dotenv", "opentelemetry", "py", "mypyc", "pip", "setuptools"}
	for _, template := range Templates() {
		files, err := load(template)
		if err != nil {
			continue
		}
		for _, file := range files {
			if !isLock(file.Path) {
				continue
			}
			for line := range strings.Lines(string(file.Content)) {
				if name, _, pinned := strings.Cut(line, "=="); pinned && !strings.ContainsAny(name, " #") {
					names = append(names, strings.ReplaceAll(name, "-", "_"))
				}
			}
		}
	}
	return names
}

package diagnose

import (
	"strings"
	"testing"
)

// TestParseCommand has what pip, uv, git, ssh, apt and compilers write when they fail.
func TestParseCommand(t *testing.T) {
	for line, want := range map[string][2]string{
		"WARNING: 401 Error, Credentials not correct for https://packages.example.com/simple/core/":                                 {"the package index refuses the login", "--build-secret passes one"},
		"User for packages.example.com: ERROR: Exception:":                                                                          {"the package index refuses the login", "--build-secret passes one"},
		"fatal: could not read Username for 'https://git.example.com': No such device or address":                                   {"git has no valid login", "git has no valid login for https://git.example.com: write git+https://${NAME}@…"},
		"fatal: Authentication failed for 'https://git.example.com/team/core/'":                                                     {"git has no valid login", "git has no valid login for https://git.example.com:"},
		"Host key verification failed.":                                                                                             {"the key of git's host is not known", "id=known_hosts,src=FILE"},
		"No ED25519 host key is known for git.example.com and you have requested strict checking.":                                  {"the key of git's host is not known", "id=known_hosts,src=FILE"},
		"git@git.example.com: Permission denied (publickey).":                                                                       {"git's host rejects the key", "ssh-privatekey"},
		`Load key "/run/secrets/ssh-privatekey": error in libcrypto`:                                                                {"git's host rejects the key", "ssh-privatekey"},
		"ERROR: No matching distribution found for core==1":                                                                         {"", "check the name and the version of core==1"},
		"WARNING: Retrying after connection broken by 'NewConnectionError(Failed to establish a new connection)': /simple/fastapi/": {"the network cannot be reached", "PIP_INDEX_URL"},
		"ERROR: No matching distribution found for pywin32==306":                                                                    {"pywin32 exists for Windows alone", `pywin32; sys_platform == "win32"`},
		"ERROR: demo-1.0-cp313-cp313-win_amd64.whl is not a supported wheel on this platform.":                                      {"demo-1.0-cp313-cp313-win_amd64.whl is a wheel of another system or Python", "the wheel for Linux"},
		"error: Distribution `tensorflow-macos==2.16.2 @ registry+https://pypi.org/simple` can't be installed because it doesn't have a source distribution or wheel for the current platform": {"tensorflow-macos==2.16.2 has no wheel for Linux", "sys_platform"},
		"ERROR: HTTP error 403 while getting https://packages.example.com/core-1.0.whl":                                                                                                        {"a server refuses the download (403)", "--build-secret"},
		"pip._vendor.requests.exceptions.HTTPError: 404 Client Error: Not Found for url: https://packages.example.com/simple/core/":                                                            {"a download does not exist (404)", "PIP_INDEX_URL"},
		"  cause: HTTP status client error (404 Not Found) for url (https://packages.example.com/simple/core/)":                                                                                {"a download does not exist (404)", "PIP_INDEX_URL"},
		"src/psutil.c:12:10: fatal error: Python.h: No such file or directory":                                                                                                                 {"Python.h is missing", "python3-dev"},
		"Error: pg_config executable not found.":                                                            {"libpq is not installed", "psycopg[binary]"},
		"  c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory":                          {"the header ffi.h is missing", "libffi-dev"},
		"lib.c:1:10: fatal error: snappy-c.h: No such file or directory":                                    {"the header snappy-c.h is missing", "-dev"},
		"error: command 'gcc' failed: No such file or directory":                                            {"there is no compiler", "build-essential"},
		"gcc: fatal error: Killed signal terminated program cc1plus":                                        {"it ran out of memory", "--memory"},
		"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device":           {"the disk of the node is full", "--storage"},
		"curl: (60) SSL certificate problem: unable to get local issuer certificate":                        {"a certificate is not trusted", "--build-ca"},
		"Err:1 http://deb.debian.org/debian trixie InRelease: Temporary failure resolving 'deb.debian.org'": {"the network cannot be reached", "HTTPS_PROXY"},
		"E: Unable to locate package libpqq-dev":                                                            {"there is no Debian package libpqq-dev", "apt-get update"},
		"ERROR: Could not open requirements file: [Errno 2] No such file or directory: 'requirements.txt'":  {"requirements.txt is not there", ".dockerignore"},
		"PermissionError: [Errno 13] Permission denied: '/opt/venv'":                                        {"its user may not write /opt/venv", "--chown"},
		"mkdir: cannot create directory '/data': Permission denied":                                         {"its user may not write /data", "--chown"},
		"it works": {},
	} {
		cause, remedy := ParseCommand([]string{"Collecting core", line, "exit status 1"}, 1)
		if cause != want[0] || !strings.Contains(remedy, want[1]) || want[1] == "" && remedy != "" {
			t.Errorf("%s:\ngot  %q, %q\nwant %q", line, cause, remedy, want)
		}
	}
	if cause, remedy := ParseCommand([]string{"Building wheel for numpy"}, 137); cause != "it ran out of memory" || !strings.Contains(remedy, "--memory") {
		t.Errorf("a killed program: %q, %q", cause, remedy)
	}
}

func TestParseCollection(t *testing.T) {
	for name, test := range map[string]struct{ log, cause, remedy string }{
		"a conftest that imports the app": {
			"ImportError while loading conftest '/app/tests/conftest.py'.\ntests/conftest.py:4: in <module>\n    from shop.main import app\nsrc/shop/main.py:3: in <module>\n    import nosuchmodule\nE   ModuleNotFoundError: No module named 'nosuchmodule'",
			"ModuleNotFoundError: No module named 'nosuchmodule' (src/shop/main.py:3)", "no module nosuchmodule",
		},
		"the frame of a library": {
			"tests/test_a.py:1: in <module>\n    import x\n/opt/venv/lib/python3.13/site-packages/x/__init__.py:3: in <module>\nE   ImportError: libpq.so.5: cannot open shared object file: No such file or directory",
			"ImportError: libpq.so.5: cannot open shared object file: No such file or directory (tests/test_a.py:1)", "libpq.so.5",
		},
		"a test that fails":  {"def test_a():\n>       assert 1 == 2\nE       assert 1 == 2\ntests/test_a.py:2: AssertionError", "", ""},
		"an error in a test": {"tests/test_a.py:9: in test_a\n    {}['a']\nE   KeyError: 'a'", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cause, remedy := ParseCollection(strings.Split(test.log, "\n"))
			if cause != test.cause || !strings.Contains(remedy, test.remedy) || test.remedy == "" && remedy != "" {
				t.Errorf("got %q, %q", cause, remedy)
			}
		})
	}
}

package track

import (
	"strings"
	"testing"
)

// TestAdviceAboutLogins has what pip, git and ssh write if they cannot log in.
func TestAdviceAboutLogins(t *testing.T) {
	for line, says := range map[string]string{
		"WARNING: 401 Error, Credentials not correct for https://packages.example.com/simple/core/":                                 "--build-secret passes one",
		"User for packages.example.com: ERROR: Exception:":                                                                          "--build-secret passes one",
		"fatal: could not read Username for 'https://git.example.com': No such device or address":                                   "git has no valid login for https://git.example.com: write git+https://${NAME}@…",
		"fatal: Authentication failed for 'https://git.example.com/team/core/'":                                                     "git has no valid login for https://git.example.com:",
		"Host key verification failed.":                                                                                             "id=known_hosts,src=FILE",
		"No ED25519 host key is known for git.example.com and you have requested strict checking.":                                  "id=known_hosts,src=FILE",
		"git@git.example.com: Permission denied (publickey).":                                                                       "ssh-privatekey",
		`Load key "/run/secrets/ssh-privatekey": error in libcrypto`:                                                                "ssh-privatekey",
		"ERROR: No matching distribution found for core==1":                                                                         "check the name and the version of core==1",
		"WARNING: Retrying after connection broken by 'NewConnectionError(Failed to establish a new connection)': /simple/fastapi/": "PIP_INDEX_URL",
		"it works": "",
	} {
		got := adviceForCommand([]string{"Collecting core", line, "exit status 1"})
		if !strings.Contains(got, says) || (says == "") != (got == "") {
			t.Errorf("%s: advice is %q, want it to say %q", line, got, says)
		}
	}
}

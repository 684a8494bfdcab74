package secret

import "testing"

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"DB_PASSWORD": true, "GITHUB_TOKEN": true, "API_KEY": true, "secret": true, "db.passwd": true, "DB_PWD": true,
		"PWD": false, "PATH": false, "KEY": false, "MONKEY": false, "TOKEN_URL": false, "PASSWORD_FILE": false, "SSH_AUTH_SOCK": false,
	} {
		if IsName(name) != want {
			t.Errorf("%s is a secret: %t, want %t", name, !want, want)
		}
	}
}

func TestMaskLine(t *testing.T) {
	for line, want := range map[string]string{
		"ENV A=1 DB_PASSWORD=hunter2 B=2":         "ENV A=1 DB_PASSWORD=******* B=2",
		"ENV API_KEY hunter2":                     "ENV API_KEY *******",
		"RUN x --url https://me:hunter2@host/ -q": "RUN x --url https://me:*******@host/ -q",
		"ENV SOPS_AGE_KEY=hunter2":                "ENV SOPS_AGE_KEY=*******",
		"ENV TOKEN=$OTHER PATH=/x":                "ENV TOKEN=$OTHER PATH=/x",
	} {
		if got := MaskLine(line); got != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}

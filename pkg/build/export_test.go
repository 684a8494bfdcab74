package build

import (
	"strings"
	"testing"
)

func TestUserOf(t *testing.T) {
	files := map[string]string{
		"etc/passwd": "root:x:0:0::/:/bin/sh\napp:x:10001:10002::/:/bin/sh\nother:x:7:8\n\nbroken:x:y:1\ntoor:x:0:0::/\n",
		"etc/group":  "root:x:0:\nstaff:x:50:\nbroken:x:y:\n",
	}
	for given, want := range map[string]string{
		"": "1000:1000", "root": "1000:1000", "0": "1000:1000", "0:5": "1000:1000", "toor": "1000:1000",
		"10001": "10001", "10001:10002": "10001:10002", "10001:0": "10001:0",
		"app": "10001:10002", "app:staff": "10001:50", "app:7": "10001:7", "5:staff": "5:50", "other": "7:8",
		"nobody": "/etc/passwd of the image has no \"nobody\"", "app:none": "/etc/group of the image has no \"none\"",
		"broken": "its number in /etc/passwd of the image is \"y\"", "app:broken": "the number of its group",
	} {
		user, err := userOf(given, func(file string) ([]byte, error) { return []byte(files[file]), nil })
		if got := user.String(); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %s, %v, want %s", given, got, err, want)
		}
	}
}

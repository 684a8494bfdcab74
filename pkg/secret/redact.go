package secret

import "regexp"

// anyUserinfo matches what is before the host of a URL, up to its last @.
var anyUserinfo = regexp.MustCompile(`((?:^|[\s=,"'])(?:[A-Za-z][A-Za-z0-9+.-]*://)?)[^\s/"'<>=,]*:[^\s/"'<>]*@|([A-Za-z][A-Za-z0-9+.-]*://)[^\s/"'<>]*@`)

// Redact returns a text without what is before the host of a URL, and without tokens of known
// formats, for an error that repeats what a person wrote.
func Redact(text string) string { return Mask(anyUserinfo.ReplaceAllString(text, "${1}${2}***@")) }

//go:build e2e

package servers

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// wheel is the package company-greeting.
const wheel = "company_greeting-1.0-py3-none-any.whl"

// Packages is a package index with one package that only a company has:
// company-greeting 1.0, whose module company_greeting has the text "hello from the
// company".
func Packages(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/"+wheel):
		var out bytes.Buffer
		archive := zip.NewWriter(&out)
		for _, file := range []struct{ name, content string }{
			{"company_greeting.py", "text = 'hello from the company'\n"},
			{"company_greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: company-greeting\nVersion: 1.0\n"},
			{"company_greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: e2e\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
			{"company_greeting-1.0.dist-info/RECORD", "company_greeting.py,,\ncompany_greeting-1.0.dist-info/METADATA,,\ncompany_greeting-1.0.dist-info/WHEEL,,\ncompany_greeting-1.0.dist-info/RECORD,,\n"},
		} {
			// Into memory: there is no error.
			part, _ := archive.Create(file.name)
			_, _ = io.WriteString(part, file.content)
		}
		_ = archive.Close()
		_, _ = w.Write(out.Bytes())
	case strings.HasSuffix(r.URL.Path, "/company-greeting/"):
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<!DOCTYPE html><html><body><a href=%q>%s</a></body></html>", wheel, wheel)
	default:
		http.NotFound(w, r)
	}
}

// Package pipindex is a caching package index: pages and files come from an
// upstream index once and from the disk afterwards.
package pipindex

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pageLifetime is how long a page is served without asking upstream: long
// enough for the many requests of one build, short enough for a new release.
const pageLifetime = 10 * time.Minute

var errChecksum = errors.New("checksum does not match")

// Index serves /simple/<project>/ and /files/<project>/<key>/<name>. Pages are asked for
// as HTML, which every client and every index understands.
type Index struct {
	// Upstream is the root of the simple index, such as https://host/simple/.
	Upstream string
	// Dir keeps pages and files.
	Dir string
	// Client reaches the upstream index.
	Client *http.Client
	// Log receives what upstream failed to send.
	Log *slog.Logger
}

// ServeHTTP answers GET and HEAD.
func (x *Index) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		http.Error(writer, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	switch parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/"); {
	case len(parts) == 1 && parts[0] == "healthz":
		_, _ = io.WriteString(writer, "ok\n")
	case len(parts) == 2 && parts[0] == "simple":
		x.servePage(writer, request, parts[1])
	case len(parts) == 4 && parts[0] == "files":
		x.serveFile(writer, request, parts[1], parts[2], parts[3])
	default:
		http.NotFound(writer, request)
	}
}

func (x *Index) servePage(writer http.ResponseWriter, request *http.Request, name string) {
	project := normalize(name)
	if !projectName.MatchString(project) {
		http.NotFound(writer, request)
		return
	}
	if project != name || !strings.HasSuffix(request.URL.Path, "/") {
		http.Redirect(writer, request, "/simple/"+project+"/", http.StatusMovedPermanently)
		return
	}
	page, err := x.page(request.Context(), project)
	if err != nil {
		x.fail(writer, request, err)
		return
	}
	writer.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = writer.Write(page)
}

// page returns the rewritten page: a fresh one from the disk, else from
// upstream, else whatever the disk has.
func (x *Index) page(ctx context.Context, project string) ([]byte, error) {
	path := filepath.Join(x.Dir, "pages", project+".html")
	kept, readErr := os.ReadFile(path)
	if info, err := os.Stat(path); readErr == nil && err == nil && time.Since(info.ModTime()) < pageLifetime {
		return kept, nil
	}
	page, err := x.fetchPage(ctx, project)
	if err == nil {
		return page, writeAtomically(path, page)
	}
	if readErr == nil {
		x.Log.Warn("serving the last known page", "project", project, "error", err)
		return kept, nil
	}
	return nil, err
}

func (x *Index) fetchPage(ctx context.Context, project string) ([]byte, error) {
	response, err := x.get(ctx, strings.TrimSuffix(x.Upstream, "/")+"/"+project+"/", "text/html")
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read page of %s: %w", project, err)
	}
	page, links, err := rewrite(string(body), response.Request.URL.String(), func(file link) string {
		return "/files/" + project + "/" + key(file) + "/" + file.name()
	})
	if err != nil {
		return nil, err
	}
	if err := x.remember(project, links); err != nil {
		return nil, err
	}
	return []byte(page), nil
}

// key names a file on disk by where it comes from.
func key(file link) string {
	sum := sha256.Sum256([]byte(file.URL))
	return hex.EncodeToString(sum[:])
}

// remember notes where the files of a project come from, those of earlier
// pages included, so that a link keeps working when it has left the page.
func (x *Index) remember(project string, links []link) error {
	known, err := x.links(project)
	if err != nil {
		known = map[string]link{}
	}
	for _, file := range links {
		known[key(file)] = file
	}
	content, err := json.Marshal(known)
	if err != nil {
		return fmt.Errorf("encode links: %w", err)
	}
	return writeAtomically(x.linksPath(project), content)
}

// links returns the known files of a project by their key.
func (x *Index) links(project string) (map[string]link, error) {
	content, err := os.ReadFile(x.linksPath(project))
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	known := map[string]link{}
	if err := json.Unmarshal(content, &known); err != nil {
		return nil, fmt.Errorf("decode links: %w", err)
	}
	return known, nil
}

func (x *Index) linksPath(project string) string {
	return filepath.Join(x.Dir, "links", project+".json")
}

func (x *Index) serveFile(writer http.ResponseWriter, request *http.Request, project, key, name string) {
	if !projectName.MatchString(project) {
		http.NotFound(writer, request)
		return
	}
	known, err := x.links(project)
	if err != nil {
		http.NotFound(writer, request)
		return
	}
	file, ok := known[key]
	if !ok || file.name() != name {
		http.NotFound(writer, request)
		return
	}
	path := filepath.Join(x.Dir, "files", key)
	if _, err := os.Stat(path); err != nil {
		if err := x.download(request.Context(), file, path); err != nil {
			x.fail(writer, request, err)
			return
		}
	}
	writer.Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(writer, request, path)
}

// download keeps the file only when it is complete and, where the page gave a
// checksum, right.
func (x *Index) download(ctx context.Context, file link, path string) error {
	response, err := x.get(ctx, file.URL, "*/*")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return fmt.Errorf("make cache file: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(temporary, sum), response.Body)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("download %s: %w", file.name(), err)
	}
	if file.SHA256 != "" && hex.EncodeToString(sum.Sum(nil)) != file.SHA256 {
		return fmt.Errorf("download %s: %w", file.name(), errChecksum)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("keep %s: %w", file.name(), err)
	}
	return nil
}

// statusError is an answer of the upstream index other than 200.
type statusError int

func (e statusError) Error() string { return "upstream answered " + http.StatusText(int(e)) }

func (x *Index) get(ctx context.Context, address, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask upstream: %w", err)
	}
	request.Header.Set("Accept", accept)
	response, err := x.Client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask upstream: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, statusError(response.StatusCode)
	}
	return response, nil
}

func (x *Index) fail(writer http.ResponseWriter, request *http.Request, err error) {
	x.Log.Error("request", "path", request.URL.Path, "error", err)
	var status statusError
	if errors.As(err, &status) && status == http.StatusNotFound {
		http.NotFound(writer, request)
		return
	}
	http.Error(writer, err.Error(), http.StatusBadGateway)
}

func writeAtomically(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return fmt.Errorf("make cache file: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("write cache file: %w", err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("keep cache file: %w", err)
	}
	return nil
}

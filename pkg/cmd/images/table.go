package images

import (
	"io"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

type tableOptions struct {
	Now time.Time
	// Namespaces adds the namespace of images.
	Namespaces bool
	Wide       bool
	NoHeaders  bool
}

// printTable writes the images, and what namespaces store if the list says so.
func printTable(list *images.List, options tableOptions, out io.Writer) error {
	text := option.Rows(imageColumns(options), list.Items, options.NoHeaders)
	if stored := option.Rows(storedColumns(), list.Stored, options.NoHeaders); stored != "" {
		text = strings.TrimPrefix(text+"\n"+stored, "\n")
	}
	_, err := io.WriteString(out, text)
	return err
}

func imageColumns(options tableOptions) []display.Column[images.Image] {
	var columns []display.Column[images.Image]
	add := func(header string, cell func(images.Image) string) {
		columns = append(columns, display.Column[images.Image]{Header: header, Cell: cell})
	}
	if options.Namespaces {
		add("NAMESPACE", func(i images.Image) string { return i.Namespace })
	}
	add("APP", func(i images.Image) string { return i.App })
	add("TAG", func(i images.Image) string { return strings.Join(i.Tags, ",") })
	add("DIGEST", func(i images.Image) string { return display.Digest(i.Digest, options.Wide) })
	add("SIZE", func(i images.Image) string { return display.Bytes(i.SizeBytes) })
	add("AGE", func(i images.Image) string { return age(i.Created, options.Now) })
	add("USED BY", func(i images.Image) string { return users(i.UsedBy, i.Namespace) })
	if options.Wide {
		add("REPOSITORY", func(i images.Image) string { return i.Repository })
		add("REFERENCE", func(i images.Image) string { return i.Reference })
	}
	return columns
}

func storedColumns() []display.Column[images.Stored] {
	amount := func(a images.Amount) string { return strconv.Itoa(a.Count) + ", " + display.Bytes(a.Bytes) }
	return []display.Column[images.Stored]{
		{Header: "STORED", Cell: func(s images.Stored) string { return s.Namespace }},
		{Header: "IMAGES", Cell: func(s images.Stored) string { return amount(s.Images) }},
		{Header: "CONTEXTS", Cell: func(s images.Stored) string { return amount(s.Contexts) }},
		{Header: "CACHE", Cell: func(s images.Stored) string { return amount(s.Cache) }},
		{Header: "TOTAL", Cell: func(s images.Stored) string { return display.Bytes(s.TotalBytes) }},
	}
}

func age(created *metav1.Time, now time.Time) string {
	if created == nil {
		return display.Age(metav1.Time{}, now)
	}
	return display.Age(*created, now)
}

// users names the namespace of those that are not where the image is.
func users(all []images.User, namespace string) string {
	texts := make([]string, len(all))
	for i, user := range all {
		texts[i] = user.String()
		if user.Namespace != namespace {
			texts[i] += " in namespace " + user.Namespace
		}
		if user.Previous {
			texts[i] += " (previous)"
		}
	}
	return display.OrNone(strings.Join(texts, ","))
}

//go:build npm

package sdk

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sdkVersion is the release that the scenarios were written for.
const sdkVersion = "1.17.1"

// clientSide are the public functions that send nothing, with what they are
// for. The scenario "clients" looks at some of them.
func clientSide() map[string]string {
	return map[string]string{
		"GitStorage.getDefaultAPIBaseUrl":     "names the hosted product",
		"GitStorage.getDefaultStorageBaseUrl": "names the hosted product",
		"createClient":                        "constructs a GitStorage",
		"encodeRefsClaim":                     "makes a part of a token",
		"parseSignatureHeader":                "checks outbound webhooks at the receiver",
		"validateWebhook":                     "checks outbound webhooks at the receiver",
		"validateWebhookSignature":            "checks outbound webhooks at the receiver",
		"ApiError":                            "an error",
		"RefUpdateError":                      "an error",
		"GitStorage":                          "a class, covered by its methods",
		"CodeStorage":                         "another name of GitStorage",
		"OP_NO_FORCE_PUSH":                    "a constant",
		"OP_NO_PUSH":                          "a constant",
		"OP_VERIFY_SIG":                       "a constant",
	}
}

// publicSurface reads the type declarations of the installed SDK and returns
// its public methods, as "Class.method", and its exported values.
func publicSurface(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(modules(t), "@pierre", "storage")
	manifest, err := os.ReadFile(filepath.Join(dir, "package.json"))
	require.NoError(t, err)
	var pkg struct{ Version string }
	require.NoError(t, json.Unmarshal(manifest, &pkg))
	require.Equal(t, sdkVersion, pkg.Version, "another release: read what is new in it and extend the scenarios")
	text, err := os.ReadFile(filepath.Join(dir, "dist", "index.d.ts"))
	require.NoError(t, err)
	var surface []string
	method := regexp.MustCompile(`(?m)^    (?:static )?(\w+)\(`)
	for class, opening := range map[string]string{
		"GitStorage": "declare class GitStorage {", "Repo": "interface Repo {", "CommitBuilder": "interface CommitBuilder {",
	} {
		_, body, ok := strings.Cut(string(text), "\n"+opening+"\n")
		require.True(t, ok, "%s is not declared", class)
		body, _, _ = strings.Cut(body, "\n}")
		for _, m := range method.FindAllStringSubmatch(body, -1) {
			if m[1] != "constructor" {
				surface = append(surface, class+"."+m[1])
			}
		}
	}
	_, exports, ok := strings.Cut(string(text), "\nexport {")
	require.True(t, ok)
	exports, _, _ = strings.Cut(exports, "}")
	for item := range strings.SplitSeq(exports, ",") {
		if item = strings.TrimSpace(item); strings.HasPrefix(item, "type ") {
			continue
		}
		if _, as, ok := strings.Cut(item, " as "); ok {
			item = as
		}
		surface = append(surface, item)
	}
	slices.Sort(surface)
	return slices.Compact(surface)
}

// requireCovered fails for a public method of the SDK that has not succeeded.
func requireCovered(t *testing.T, succeeded []string, impossible ...string) {
	t.Helper()
	surface := publicSurface(t)
	require.Greater(t, len(surface), 45, "the type declarations were not understood")
	if os.Getenv("SDK_MATCH") != "" {
		return // some scenarios only
	}
	var missing []string
	for _, name := range surface {
		if _, ok := clientSide()[name]; !ok && !slices.Contains(succeeded, name) && !slices.Contains(impossible, name) {
			missing = append(missing, name)
		}
	}
	require.Empty(t, missing, "public methods of the SDK that never succeeded")
	for name := range clientSide() {
		require.Contains(t, surface, name, "not in the SDK any more")
	}
}

package explorer_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// screenshots is the variable with the directory that pictures of the page go to.
const screenshots = "HEADWATER_SCREENSHOTS"

// TestExplorer_browser reads the page with a real browser, without JavaScript: in both colour schemes
// and on a phone, where it must not be wider than the screen.
func TestExplorer_browser(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.UserDataDir(servertest.BrowserProfile(t)), chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	var mu sync.Mutex
	var complaints []string
	chromedp.ListenTarget(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				complaints = append(complaints, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	})
	run := func(actions ...chromedp.Action) {
		t.Helper()
		require.NoError(t, chromedp.Run(ctx, actions...))
	}
	run(log.Enable(), runtime.Enable(), emulation.SetScriptExecutionDisabled(true))
	for _, look := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 390, 844}, {"phone-dark", "dark", 390, 844}} {
		var wide, shown int64
		var background string
		var picture []byte
		run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}),
			chromedp.EmulateViewport(look.width, look.height), chromedp.Navigate(s.URL+"/api"), chromedp.WaitVisible("#main", chromedp.ByQuery),
			chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
			chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &background),
			chromedp.Click(`summary code`, chromedp.ByQuery), // of the first operation
			chromedp.Evaluate(`document.querySelectorAll("details.operation[open]").length`, &shown),
			chromedp.CaptureScreenshot(&picture))
		require.LessOrEqual(t, wide, look.width, "%s: the page is wider than the screen", look.name)
		require.EqualValues(t, 1, shown, look.name)
		want := map[string]string{"light": "rgb(244, 246, 248)", "dark": "rgb(16, 22, 27)"}
		require.Equal(t, want[look.scheme], background, "%s: the style is not loaded", look.name)
		if dir := os.Getenv(screenshots); dir != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "explorer-"+look.name+".png"), picture, 0o644))
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		var wide int64
		var picture []byte
		var first string
		run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.EmulateViewport(390, 844), chromedp.Navigate(s.URL+"/docs"), chromedp.WaitVisible("#main", chromedp.ByQuery),
			chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide), chromedp.Text("dt a", &first, chromedp.ByQuery), chromedp.CaptureScreenshot(&picture))
		require.LessOrEqual(t, wide, int64(390), "the list of documents is wider than a phone")
		require.Equal(t, "HTTP API", first)
		if dir := os.Getenv(screenshots); dir != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "documents-"+scheme+".png"), picture, 0o644))
		}
	}
	var open, text string
	run(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(s.URL+"/api"), chromedp.WaitVisible("#main", chromedp.ByQuery),
		chromedp.SetValue("#q", "redeliver", chromedp.ByQuery), chromedp.Submit("#q", chromedp.ByQuery),
		chromedp.WaitVisible("#redeliver pre", chromedp.ByQuery), chromedp.Text("#redeliver", &open, chromedp.ByQuery), chromedp.Text(".found", &text, chromedp.ByQuery))
	require.Contains(t, open, "curl -X POST")
	require.Contains(t, text, "operations have “redeliver”")
	if dir := os.Getenv(screenshots); dir != "" {
		var picture []byte
		run(chromedp.CaptureScreenshot(&picture))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "explorer-search.png"), picture, 0o644))
	}
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, complaints)
}

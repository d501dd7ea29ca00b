package setup

import "html/template"

// The pages. They load nothing, run no script, and escape what they show:
// names and messages come from flags and from the host.
var (
	startPage  = template.Must(template.New("start").Parse(layout + startBody))
	donePage   = template.Must(template.New("done").Parse(layout + doneBody))
	failedPage = template.Must(template.New("failed").Parse(layout + failedBody))
)

const layout = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Headwater and GitHub</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 38rem; margin: 8vh auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1.25rem; margin: 1.5rem 0;
  padding: 1rem 1.25rem; border: 1px solid var(--line); border-radius: .6rem; background: var(--soft); }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
button, a.button { display: inline-block; font: inherit; font-weight: 600; padding: .6rem 1.1rem; border: 0;
  border-radius: .5rem; background: #1f6feb; color: #fff; text-decoration: none; cursor: pointer; }
button:focus-visible, a:focus-visible { outline: 3px solid #58a6ff; outline-offset: 2px; }
.note { opacity: .75; font-size: .9rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; } }
</style>
</head>
<body>
<main>
`

const startBody = `<h1>Create a GitHub App for Headwater</h1>
<p>GitHub will ask you to confirm. Nothing is made before you do, and you can change the name there.</p>
<dl>
<dt>Name</dt><dd>{{.App.Name}}</dd>
<dt>Owner</dt><dd>{{if .Owner}}{{.Owner}}{{else}}your account{{end}} at {{.Host}}</dd>
<dt>Webhooks go to</dt><dd>{{.App.HookAttributes.URL}}</dd>
<dt>Permissions</dt><dd>{{range $name, $level := .App.DefaultPermissions}}{{$name}}: {{$level}}<br>{{end}}</dd>
<dt>Events</dt><dd>{{range $i, $event := .App.DefaultEvents}}{{if $i}}, {{end}}{{$event}}{{end}}</dd>
<dt>Visible to</dt><dd>its owner only</dd>
</dl>
<form action="{{.Action}}" method="post">
<input type="hidden" name="manifest" value="{{.Manifest}}">
<button type="submit">Continue to {{.Host}}</button>
</form>
<p class="note">The private key and the webhook secret go to files of the machine that runs the command. They are not shown in the browser.</p>
</main>
</body>
</html>
`

const doneBody = `<h1>{{.Name}} is made</h1>
<p>Its private key and webhook secret are saved. The terminal says what to put into providers.hcl.</p>
{{with .InstallURL}}<p>Now install it on the owners of your repositories:</p>
<p><a class="button" href="{{.}}" rel="noreferrer">Install the App</a></p>{{end}}
<p class="note">You can close this page: it is not served any more.</p>
</main>
</body>
</html>
`

const failedBody = `<h1>That did not work</h1>
<p>{{.Message}}.</p>
{{if .Again}}<p>Reload this page to try again.</p>{{else}}<p><a href="{{.Start}}">Back to the start</a>, as long as the command runs.</p>{{end}}
</main>
</body>
</html>
`

// What pages do beyond HTML: copy a line, tick all rows, follow what happens, and draw
// pictures live over the SVG that the server sent. Without it every page still says and
// does the same. Times are UTC, as everywhere in the console.
(() => {
  'use strict';
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const tones = { ok: '--ok', calm: '--calm', held: '--held-line', bad: '--bad' };
  const span = v => v == null ? '–' : v < 1 ? `${Math.round(v * 1000)} ms` : v < 90 ? `${Math.round(v)} s` : v < 5400 ? `${Math.round(v / 60)} min` : v < 172800 ? `${Math.round(v / 3600)} h` : `${Math.round(v / 86400)} d`;
  const marks = [0.1, 1, 10, 60, 600, 3600, 21600, 86400, 604800, 2592000, 31536000];
  const pictures = new Map();

  // stacked turns parts of bars into tops of bars, the last part first.
  function stacked(series) {
    const sums = new Array(series[0].values.length).fill(0);
    return series.map(s => s.values.map((v, i) => (sums[i] += v || 0)));
  }

  const two = n => String(n).padStart(2, '0');
  const clock = t => { const d = new Date(t * 1000); return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`; };
  const day = t => new Date(t * 1000).toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', timeZone: 'UTC' });

  // times names the marks of the axis: the day where it begins, else the time.
  function times(all) { return all.map(t => t % 86400 === 0 ? day(t) : clock(t)); }

  // say writes beside the keys what they are at the cursor, or now if it is elsewhere.
  function say(figure, plot, at) {
    const seconds = plot.unit === 's';
    figure.querySelectorAll('.legend [data-value]').forEach((place, i) => {
      const values = plot.series[i] ? plot.series[i].values : [];
      let v = at == null ? values.findLast(v => v != null) : values[at];
      if (at == null && plot.kind === 'bars') v = values.reduce((sum, v) => sum + (v || 0), 0);
      place.textContent = v == null ? '–' : seconds ? span(v) : String(v);
    });
    const when = figure.querySelector('[data-when]');
    if (when) when.textContent = at == null ? when.dataset.when : `${day(plot.times[at])} ${clock(plot.times[at])} UTC`;
  }

  function draw(figure, plot) {
    const canvas = figure.querySelector('.canvas');
    if (!plot.series.some(s => s.values.some(v => v !== null))) return;
    const bars = plot.kind === 'bars', seconds = plot.unit === 's';
    const value = v => seconds ? span(v) : v == null ? '–' : String(v);
    let order = plot.series.map((s, i) => i), shown = plot.series.map(s => s.values);
    if (bars) { shown = stacked(plot.series); order = order.reverse(); } // the tallest is painted first
    const axis = { stroke: colour('--dim'), grid: { stroke: colour('--edge'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    const options = {
      width: canvas.clientWidth, height: 150, legend: { show: false }, tzDate: t => uPlot.tzDate(new Date(t * 1000), 'UTC'), cursor: { drag: { x: false, y: false }, points: { show: !bars } },
      padding: [8, 6, 0, 0],
      scales: { x: { time: true, range: [plot.from, plot.to] }, y: bars ? { range: (u, min, max) => [0, Math.max(max, 1)] } : { distr: seconds ? 3 : 1, log: 10 } },
      hooks: { setCursor: [u => say(figure, plot, u.cursor.idx)] },
      axes: [{ ...axis, size: 26, values: (u, all) => times(all) }, { ...axis, size: 52, ...(seconds && !bars ? { filter: (u, all) => all, splits: u => marks.filter(m => m >= u.scales.y.min && m <= u.scales.y.max) } : {}), values: (u, all) => all.map(v => v === null || !seconds && v % 1 ? '' : value(v)) }],
      series: [{},
        ...order.map(i => ({
          label: plot.series[i].name, stroke: colour(tones[plot.series[i].class]), width: bars ? 0 : 1.8, points: { show: false }, spanGaps: false,
          fill: bars ? colour(tones[plot.series[i].class]) : undefined, paths: bars ? uPlot.paths.bars({ size: [0.85], align: 1 }) : undefined,
        }))],
    };
    const old = pictures.get(figure);
    if (old) old.destroy();
    canvas.replaceChildren();
    pictures.set(figure, new uPlot(options, [plot.times, ...order.map(i => shown[i])], canvas));
    figure.classList.add('live');
    say(figure, plot, null);
  }

  async function refresh(figure) {
    try {
      const answer = await fetch(figure.dataset.plot, { credentials: 'same-origin', headers: { Accept: 'application/json' }, redirect: 'error' });
      if (answer.ok && figure.isConnected) { figure.plot = await answer.json(); draw(figure, figure.plot); }
    } catch { /* the picture stays as it is, until the next time */ }
  }

  // What happens comes as a stream of server-sent events, each of which has the page fetch
  // anew what it shows, at most once a second. Where there is no stream, or nothing of it
  // arrives, as behind a proxy that holds it back, the page asks every ten seconds. A page
  // that nobody looks at does neither.
  const beats = 25000; // the server sends something every 15 seconds
  let source = null, due = false, last = -Infinity;
  const visible = () => document.visibilityState === 'visible';
  function changed() {
    if (due || !visible()) return;
    due = true;
    setTimeout(() => { due = false; document.body.dispatchEvent(new CustomEvent('changed')); }, 1000);
  }
  function arrived() {
    last = performance.now();
    document.body.classList.add('streaming');
  }
  function lost() {
    last = -Infinity;
    document.body.classList.remove('streaming');
  }
  function listen() {
    const url = document.body.dataset.stream;
    if (!url || !window.EventSource || source || !visible()) return;
    source = new EventSource(url);
    source.addEventListener('beat', arrived);
    source.addEventListener('change', () => { arrived(); changed(); });
    source.addEventListener('end', () => location.reload()); // to the page to sign in
    source.addEventListener('error', () => {
      lost();
      if (source.readyState === EventSource.CLOSED) { source = null; setTimeout(listen, 30000); }
    });
  }
  function hush() {
    if (source) source.close();
    source = null;
    lost();
  }

  function all() { return [...document.querySelectorAll('figure[data-plot]')]; }
  function start() {
    for (const figure of all()) refresh(figure);
    listen();
    document.addEventListener('visibilitychange', () => { if (visible()) { listen(); changed(); } else hush(); });
    addEventListener('pagehide', hush);
    setInterval(() => { if (performance.now() - last > beats) { lost(); changed(); } }, 10000);
    setInterval(changed, 30000); // ages grow, even where nothing happens
    setInterval(() => { if (document.visibilityState === 'visible') all().forEach(refresh); }, 60000);
    const redraw = () => { for (const figure of all()) if (figure.plot) draw(figure, figure.plot); };
    let later;
    addEventListener('resize', () => { clearTimeout(later); later = setTimeout(redraw, 200); });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
    for (const button of document.querySelectorAll('[data-copy]')) button.hidden = !navigator.clipboard;
  }

  document.addEventListener('click', async e => {
    const copy = e.target.closest('[data-copy]');
    if (!copy) return;
    await navigator.clipboard.writeText(document.querySelector(copy.dataset.copy).textContent);
    copy.textContent = 'Copied';
    setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
  });
  document.addEventListener('change', e => {
    if (!e.target.matches('[data-all]')) return;
    for (const box of e.target.form.querySelectorAll('input[name=id]')) box.checked = e.target.checked;
  });
  // "/" goes to the search, as elsewhere.
  document.addEventListener('keydown', e => {
    if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || e.target.matches('input, textarea, select')) return;
    const q = document.getElementById('q');
    if (q) { e.preventDefault(); q.focus(); }
  });
  // What somebody has opened or ticked, or is in, is not replaced under their hands.
  document.addEventListener('htmx:beforeSwap', e => {
    const target = e.detail.target;
    if (target && (target.id === 'now' || target.id === 'live') && (target.contains(document.activeElement) || target.querySelector('details[open]'))) e.detail.shouldSwap = false;
  });
  // A page that nobody looks at asks for nothing.
  document.addEventListener('htmx:beforeRequest', e => {
    if (document.visibilityState !== 'visible') e.preventDefault();
  });
  start();
})();

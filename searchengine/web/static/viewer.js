/**
 * One picture at a time, in a modal dialog: the large thumbnail at once, then the original where a
 * browser can show it; zoom and pan; what is known of it, and where to go from it.
 *
 * @typedef {{load: (id: number) => Promise<import('./panel.js').Facts>,
 *   thumbnail: (id: number, size: 'small'|'large') => string, original: (id: number) => string,
 *   hitAt: (index: number) => import('./layout.js').Hit|undefined,
 *   indexOf: (id: number) => number, count?: () => number, onClose: (id: number) => void,
 *   onShow: (id: number) => void, onMore: (id: number) => void, onLess: (id: number) => void,
 *   onFilter: (filters: object) => void}} ViewerOptions
 */

import { amount, h } from './dom.js';
import { described } from './layout.js';
import { panelOf } from './panel.js';
import { Zoom } from './zoom.js';

const SHOWN_BY_BROWSERS = ['JPEG', 'PNG', 'WEBP', 'GIF', 'AVIF'];
const ROOM_FOR_PANEL = '(min-width: 800px)';
const GONE = 'This picture is no longer in the index.';
const UNREADABLE =
  'This picture cannot be shown. Its file may have been moved, deleted or damaged.';
const KEYS = {
  ArrowLeft: (viewer) => viewer.step(-1),
  ArrowRight: (viewer) => viewer.step(1),
  'Shift+ArrowLeft': ({ zoom }) => zoom.pan(80, 0),
  'Shift+ArrowRight': ({ zoom }) => zoom.pan(-80, 0),
  'Shift+ArrowUp': ({ zoom }) => zoom.pan(0, 80),
  'Shift+ArrowDown': ({ zoom }) => zoom.pan(0, -80),
  '+': ({ zoom }) => zoom.by(1.5),
  '=': ({ zoom }) => zoom.by(1.5),
  '-': ({ zoom }) => zoom.by(1 / 1.5),
  0: ({ zoom }) => zoom.fit(),
  i: (viewer) => viewer.togglePanel(),
  m: ({ id, options }) => options.onMore(id),
  l: ({ id, options }) => options.onLess(id),
};

export class Viewer {
  /** @param {HTMLDialogElement} dialog @param {ViewerOptions} options */
  constructor(dialog, options) {
    this.dialog = dialog;
    this.options = options;
    this.id = null;
    this.build();
    this.zoom = new Zoom(this.stage, (step) => this.step(step));
    this.togglePanel(matchMedia(ROOM_FOR_PANEL).matches);
    dialog.addEventListener('keydown', (event) => this.pressed(event));
    dialog.addEventListener('close', () => this.closed());
  }

  build() {
    const key = (name) => () => KEYS[name](this);
    this.name = h('h2', { id: 'viewer-name' });
    this.position = h('p', { class: 'viewer-position', role: 'status' });
    this.info = control('i', 'Details (i)', key('i'), { 'aria-controls': 'viewer-panel' });
    this.previous = control('‹', 'Previous picture (left arrow)', key('ArrowLeft'));
    this.next = control('›', 'Next picture (right arrow)', key('ArrowRight'));
    this.notice = h('p', { class: 'viewer-notice', role: 'alert' });
    this.stage = h('div', { class: 'viewer-stage' }, this.notice);
    this.panel = h('aside', { id: 'viewer-panel', class: 'viewer-panel', 'aria-label': 'Details' });
    this.dialog.classList.add('viewer');
    this.dialog.setAttribute('aria-labelledby', this.name.id);
    this.dialog.tabIndex = -1;
    this.dialog.replaceChildren(
      h('div', { class: 'viewer-bar' }, this.name, this.position,
        control('−', 'Zoom out (-)', key('-')), control('+', 'Zoom in (+)', key('+')), this.info,
        control('×', 'Close (Esc)', () => this.hide())),
      h('div', { class: 'viewer-middle' }, this.previous, this.stage, this.next),
      this.panel,
    );
  }

  get isOpen() {
    return this.dialog.open;
  }

  hide() {
    this.dialog.close();
  }

  /** Show a picture; it need not be one of the grid's. @param {number} id */
  show(id) {
    if (this.isOpen && id === this.id) this.tellPlace();
    else this.turnTo(id);
  }

  async turnTo(id) {
    this.id = id;
    if (!this.isOpen) this.dialog.showModal();
    this.dialog.focus(); // the keys work at once, and no button looks chosen
    this.begin(id);
    this.options.onShow(id);
    try {
      const facts = await this.options.load(id);
      if (this.id === id) this.tell(facts);
    } catch (problem) {
      if (this.id !== id) return;
      if ([404, 410].includes(problem.status)) this.fail(GONE);
      else this.panel.replaceChildren(h('p', { role: 'alert' }, problem.message));
    }
  }

  /** What can be shown before the facts are here. */
  begin(id) {
    const [hit, ...beside] = this.tellPlace();
    this.name.textContent = hit?.name ?? 'Picture';
    this.notice.textContent = '';
    this.panel.replaceChildren();
    this.put(this.options.thumbnail(id, 'large'), hit ? described(hit) : '');
    this.zoom.begin(hit);
    for (const one of beside.filter(Boolean)) {
      new Image().src = this.options.thumbnail(one.id, 'large');
    }
  }

  /** Say where among the hits the picture is. @returns the hit, the next one, the one before */
  tellPlace() {
    const { hitAt, indexOf, count } = this.options;
    const index = indexOf(this.id);
    const hits = index < 0 ? [] : [index, index + 1, index - 1].map((at) => hitAt(at));
    const all = count ? ` of ${amount(count())}` : '';
    this.position.textContent = index < 0 ? '' : amount(index + 1) + all;
    this.next.ariaDisabled = String(!hits[1]);
    this.previous.ariaDisabled = String(!hits[2]);
    return hits;
  }

  /** Take a picture onto the stage in place of the one there; `null` takes it away. */
  put(source, alt) {
    for (const picture of [this.picture, this.larger]) {
      picture?.remove();
      picture?.removeAttribute('src'); // ends a download nobody waits for
    }
    this.larger = null;
    this.picture = source && h('img', {
      class: 'viewer-picture', alt, draggable: 'false', src: source,
      load: () => this.zoom.sized(),
      error: ({ target }) => target === this.picture && this.fail(UNREADABLE),
    });
    if (this.picture) this.stage.prepend(this.picture);
  }

  /** @param {import('./panel.js').Facts} facts */
  tell(facts) {
    this.tellPlace();
    this.name.textContent = facts.name;
    this.picture.alt ||= described(facts);
    this.panel.replaceChildren(...panelOf(facts, this.options));
    this.zoom.sized(facts);
    if (SHOWN_BY_BROWSERS.includes(facts.format?.toUpperCase())) this.loadOriginal(facts.id);
  }

  async loadOriginal(id) {
    const larger = h('img', { class: 'viewer-picture', alt: this.picture.alt, draggable: 'false' });
    this.larger = larger;
    larger.src = this.options.original(id);
    // Decoded first, so that it takes the thumbnail's place without a flash.
    const shown = await larger.decode().then(() => true, () => false);
    if (!shown || this.larger !== larger) return;
    this.notice.textContent = '';
    this.picture.replaceWith(larger);
    this.picture = larger;
    this.larger = null;
    this.zoom.sized();
  }

  fail(words) {
    // That it is gone says more than that it cannot be shown, whichever comes first.
    if (this.notice.textContent !== GONE) this.notice.textContent = words;
    this.picture.classList.add('broken');
  }

  step(step) {
    const index = this.options.indexOf(this.id);
    const hit = index < 0 ? null : this.options.hitAt(index + step);
    if (hit) this.show(hit.id);
  }

  togglePanel(open = this.panel.hidden) {
    this.panel.hidden = !open;
    this.info.ariaExpanded = String(open);
  }

  closed() {
    const { id } = this;
    this.id = null;
    this.put(null);
    this.options.onClose(id);
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = event.shiftKey && event.key.startsWith('Arrow');
    const run = KEYS[arrow ? `Shift+${event.key}` : event.key];
    if (!run) return;
    event.preventDefault();
    run(this);
  }
}

const control = (sign, title, click, attributes = {}) =>
  h('button', { type: 'button', class: 'viewer-control', title,
    'aria-label': title.replace(/ \(.*\)$/, ''), click, ...attributes },
  h('span', { 'aria-hidden': 'true' }, sign));

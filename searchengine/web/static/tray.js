/** The query tray: pictures and words beyond the box, how much each counts, and what was marked. */

import { byId, h, icon, iconButton, settled } from './dom.js';

const LEAST = 0.25;
const MOST = 4;
const SIGNS = { plus: 'minus', minus: 'plus' };
const MARKS = { more: 'More like this', less: 'Less like this' };

export class Tray {
  /**
   * @param {import('./api.js').Api} api
   * @param {(change: object, how: 'push'|'replace') => void} change puts parts into the state
   */
  constructor(api, change) {
    this.api = api;
    this.change = change;
    this.element = byId('tray');
    this.shown = '';
  }

  /** @param {import('./state.js').State} state */
  render(state) {
    this.state = state;
    // While a slider moves only weights differ: then the controls stay, and with them the focus.
    const parts = JSON.stringify(
      ['index', 'plus', 'minus', 'more', 'less'].map((name) => state[name]),
      (name, value) => (name === 'weight' ? undefined : value),
    );
    if (parts === this.shown) return this.#weights();
    this.shown = parts;
    const place = this.#focused();
    this.element.replaceChildren(
      ...['plus', 'minus'].flatMap((sign) =>
        state[sign].map((part, at) => this.#part(sign, part, at)),
      ),
      ...['more', 'less'].flatMap((mark) => state[mark].map((id) => this.#mark(mark, id))),
    );
    this.element.hidden = !this.element.children.length;
    if (place !== null) this.#refocus(place);
    return undefined;
  }

  #part(sign, part, at) {
    const name = nameOf(part);
    const label = `${sign === 'plus' ? 'Like' : 'Unlike'} ${name}`;
    return h(
      'li',
      { class: `part ${sign}`, 'aria-label': label },
      this.#sign(sign, at, name),
      part.text === undefined ? this.#picture(part) : h('span', { class: 'words' }, part.text),
      ...this.#slider(sign, part, at, name),
      iconButton('close', `Remove ${name}`, () => this.#remove(sign, at)),
    );
  }

  #sign(sign, at, name) {
    const turn = () => {
      const part = this.state[sign][at];
      const other = SIGNS[sign];
      this.change(
        { [sign]: this.state[sign].toSpliced(at, 1), [other]: [...this.state[other], part] },
        'push',
      );
    };
    const says = sign === 'plus' ? 'looked for' : 'avoided';
    const label = `${name} is ${says}; turn it round`;
    return iconButton(sign, label, turn, { class: 'bare sign' });
  }

  #slider(sign, part, at, name) {
    const id = `weight-${sign}-${at}`;
    let moving = false; // one step in the history for a whole movement, not one for each tick
    const move = (event) => {
      const weight = 2 ** Number(event.target.value);
      const parts = this.state[sign].with(at, { ...this.state[sign][at], weight: round(weight) });
      this.change({ [sign]: parts }, moving ? 'replace' : 'push');
      moving = true;
    };
    const rest = settled(() => {
      moving = false;
    }, 1000);
    return [
      h('label', { for: id, class: 'unseen' }, `Weight of ${name}`),
      h('input', {
        type: 'range', id, min: Math.log2(LEAST), max: Math.log2(MOST), step: 0.25,
        value: Math.log2(part.weight), 'aria-valuetext': times(part.weight),
        title: 'How much it counts', input: move, change: rest,
      }),
      h('output', { for: id }, times(part.weight)),
    ];
  }

  #mark(mark, id) {
    const remove = () =>
      this.change({ [mark]: this.state[mark].filter((one) => one !== id) }, 'push');
    return h(
      'li',
      { class: `part mark ${mark}`, 'aria-label': `${MARKS[mark]}: picture ${id}` },
      icon(mark === 'more' ? 'plus' : 'minus'),
      this.#picture({ id }),
      h('span', { class: 'words' }, MARKS[mark]),
      iconButton('close', `Take back: ${MARKS[mark].toLowerCase()}`, remove),
    );
  }

  #picture(part) {
    const source =
      part.id === undefined ? this.api.uploaded(part.upload) : this.api.thumbnail(part.id, 'small');
    const gone = (event) => event.target.replaceWith(h('span', { class: 'words' }, nameOf(part)));
    return h('img', {
      src: source, alt: nameOf(part), width: 40, height: 40, decoding: 'async', error: gone,
    });
  }

  #remove(sign, at) {
    this.change({ [sign]: this.state[sign].toSpliced(at, 1) }, 'push');
  }

  #weights() {
    for (const sign of ['plus', 'minus']) {
      this.state[sign].forEach((part, at) => {
        const slider = byId(`weight-${sign}-${at}`);
        if (document.activeElement !== slider) slider.value = Math.log2(part.weight);
        slider.setAttribute('aria-valuetext', times(part.weight));
        slider.nextElementSibling.textContent = times(part.weight);
      });
    }
  }

  #focused() {
    const part = document.activeElement?.closest('#tray .part');
    return part ? [...this.element.children].indexOf(part) : null;
  }

  /** The part that took the removed one's place, or the box: never nowhere. */
  #refocus(place) {
    const part = this.element.children[Math.min(place, this.element.children.length - 1)];
    (part?.querySelector('button:last-child') ?? byId('box')).focus({ preventScroll: true });
  }
}

const nameOf = (part) =>
  part.text ?? (part.id === undefined ? 'your picture' : `picture ${part.id}`);
const round = (weight) => Number(weight.toFixed(2));
const times = (weight) => `× ${round(weight)}`;

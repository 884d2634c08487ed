/** The search box, and the ways a picture gets into the query: dropped, pasted, chosen. */

import { byId, say } from './dom.js';

const OWN_PICTURE = /\/api\/images\/(\d+)\//;
const MOST_AT_ONCE = 8;

export class Box {
  /**
   * @param {import('./api.js').Api} api
   * @param {{ask: (text: string) => void, example: (part: object) => void,
   *   words: (text: string, sign: 'plus'|'minus') => void}} on
   */
  constructor(api, on) {
    this.api = api;
    this.on = on;
    this.input = /** @type {HTMLInputElement} */ (byId('box'));
    byId('search').addEventListener('submit', (event) => {
      event.preventDefault();
      on.ask(this.text);
    });
    this.#choosing();
    this.#pasting();
    this.#dropping();
    this.#adding();
  }

  /** What is typed, searched or not. */
  get text() {
    return this.input.value;
  }

  set text(text) {
    if (this.input.value !== text) this.input.value = text;
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  #choosing() {
    const file = /** @type {HTMLInputElement} */ (byId('picture-file'));
    byId('choose-picture').addEventListener('click', () => file.click());
    file.addEventListener('change', () => {
      this.#take([...file.files]);
      file.value = ''; // so that the same file can be chosen again
    });
  }

  #pasting() {
    document.addEventListener('paste', (event) => {
      const pictures = [...event.clipboardData.files].filter(isPicture);
      if (!pictures.length) return;
      event.preventDefault();
      this.#take(pictures);
    });
  }

  #dropping() {
    const veil = byId('drop');
    let inside = 0; // enter and leave also come from every element passed on the way
    const leave = () => {
      inside = 0;
      veil.hidden = true;
    };
    addEventListener('dragenter', (event) => {
      if (!droppable(event)) return;
      event.preventDefault();
      inside += 1;
      veil.hidden = false;
    });
    addEventListener('dragover', (event) => droppable(event) && event.preventDefault());
    addEventListener('dragleave', () => {
      inside -= 1;
      if (inside <= 0) leave();
    });
    addEventListener('dragend', leave);
    addEventListener('drop', (event) => {
      if (!droppable(event)) return;
      event.preventDefault();
      leave();
      this.#dropped(event.dataTransfer);
    });
  }

  #dropped(data) {
    const address = data.getData('text/uri-list');
    const own = address.startsWith(location.origin) && OWN_PICTURE.exec(address);
    if (own) this.on.example({ id: Number(own[1]), weight: 1 });
    else if (data.files.length) this.#take([...data.files]);
    else say('That is no picture file. Save it first, then drop it here.');
  }

  async #take(given) {
    const files = given.filter(isPicture);
    if (!files.length) return say(`${given[0].name} is no picture.`);
    const busy = byId('choose-picture');
    busy.setAttribute('aria-busy', 'true');
    try {
      for (const file of files.slice(0, MOST_AT_ONCE)) {
        const { key } = await this.api.upload(file);
        this.on.example({ upload: key, weight: 1 });
      }
      if (files.length > MOST_AT_ONCE) say(`Only the first ${MOST_AT_ONCE} pictures were taken.`);
    } catch (error) {
      if (error.status !== 401) say(error.detail ?? String(error));
    } finally {
      busy.removeAttribute('aria-busy');
    }
    return undefined;
  }

  /** The small form that adds words with a sign and a weight of their own. */
  #adding() {
    const words = /** @type {HTMLInputElement} */ (byId('more-words'));
    byId('words-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const text = words.value.trim();
      if (!text) return;
      this.on.words(text, event.submitter?.value === 'minus' ? 'minus' : 'plus');
      words.value = '';
      byId('words').hidePopover();
    });
  }
}

// Some systems give no type for HEIC or RAW files; the server looks at the bytes anyway.
const isPicture = (file) => file.type === '' || file.type.startsWith('image/');

const droppable = (event) => {
  const types = event.dataTransfer?.types ?? [];
  return types.includes('Files') || types.includes('text/uri-list');
};

/**
 * The grid of results: however many hits there are, only the rows near the window are in the
 * document. It scrolls with the window.
 *
 * To assistive technology it is one ARIA grid: each row of pictures and each heading is a row, one
 * cell is the tab stop, and the arrow keys move between cells.
 *
 * @typedef {import('./layout.js').Hit} Hit
 * @typedef {{thumbnail: (id: number, size: 'small'|'large') => string,
 *   original?: (id: number) => string, onOpen: (hit: Hit) => void, onMore: (hit: Hit) => void,
 *   onLess: (hit: Hit) => void, onCopies: (hit: Hit) => void,
 *   onNearEnd: () => void|Promise<unknown>}} GridOptions
 */

import { headingRow, makeCell, placeCell } from './cell.js';
import { h } from './dom.js';
import {
  blocksNear, emptyLayout, extend, firstRowFrom, inBandOrder, moved, rowOf, settingsFor,
} from './layout.js';

const NEAR_END = 2; // windows left when more is asked for
const SHORTCUTS = { m: 'onMore', l: 'onLess', c: 'onCopies' };

export class Grid {
  /** @param {HTMLElement} element @param {GridOptions} options */
  constructor(element, options) {
    this.element = element;
    this.options = options;
    this.rows = new Map(); // block of the layout -> its element, those in the document
    this.cells = new Map(); // index of a hit -> its element, those in the document
    this.clear();
    element.classList.add('grid');
    element.addEventListener('click', (event) => this.clicked(event));
    element.addEventListener('keydown', (event) => this.pressed(event));
    element.addEventListener('focusin', (event) => this.focused(event));
    window.addEventListener('scroll', () => this.later(), { passive: true });
    window.addEventListener('resize', () => this.later(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(element);
  }

  /** Take all pictures away. */
  clear() {
    /** @type {Hit[]} the hits so far */
    this.hits = [];
    this.places = new Map(); // id -> index
    this.active = 0;
    this.done = false;
    this.asked = false;
    this.pending = null;
    this.layOut(true);
    this.render();
  }

  /** Add hits after those there are. @param {Hit[]} hits */
  append(hits) {
    hits.forEach((hit, place) => this.places.set(hit.id, this.hits.length + place));
    this.hits = this.hits.concat(hits);
    const { bands } = this.layout.settings;
    if (bands && !inBandOrder(this.hits)) this.layOut(false);
    else this.layout = extend(this.layout, this.hits);
    this.asked = this.asked && hits.length === 0;
    this.render();
    this.later(); // not at once: setDone may follow
  }

  /** Say whether all hits are here. @param {boolean} done */
  setDone(done) {
    this.done = done;
    this.later();
  }

  focusFirst() {
    if (this.hits.length) this.focusAt(0);
  }

  /** Focus a picture and scroll it into view. @returns {boolean} false: it is not in the grid */
  focusOn(/** @type {number} */ id) {
    const index = this.indexOf(id);
    if (index >= 0) this.focusAt(index);
    return index >= 0;
  }

  /** @param {number} id @returns {number} -1: not in the grid */
  indexOf(id) {
    return this.places.get(id) ?? -1;
  }

  /** Where the window stands. @returns {{id: number, offset: number}|null} null: no hits */
  scrollState() {
    const { top } = this.element.getBoundingClientRect();
    const row = firstRowFrom(this.layout, -top);
    return row ? { id: this.hits[row.first].id, offset: Math.round(top + row.top) } : null;
  }

  /** Scroll to a former `scrollState()`. @returns {boolean} false: that hit is not here (yet) */
  restore(/** @type {{id: number, offset: number}|null} */ state) {
    const index = state ? this.indexOf(state.id) : -1;
    if (index >= 0) this.scrollToRow(index, state.offset);
    return index >= 0;
  }

  scrollToRow(index, offset) {
    const { top } = this.element.getBoundingClientRect();
    const row = this.layout.blocks[rowOf(this.layout, index)];
    window.scrollBy({ top: top + row.top - offset, behavior: 'instant' });
    this.render();
  }

  resized() {
    const { width, bands } = this.layout.settings;
    if (this.settings(bands).width === width) return;
    const before = this.element.getBoundingClientRect().top < 0 ? this.scrollState() : null;
    this.layOut(bands);
    this.render();
    this.restore(before);
  }

  /** For whole pixels: `clientWidth` may round up, and the last picture would stick out. */
  settings(bands) {
    return settingsFor(Math.floor(this.element.getBoundingClientRect().width), bands);
  }

  layOut(bands) {
    this.layout = extend(emptyLayout(this.settings(bands)), this.hits);
  }

  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.render();
      this.askForMore();
    });
  }

  /** Call onNearEnd once an append; again on a later scroll where its promise brought nothing. */
  askForMore() {
    if (this.done || this.asked || this.pending || !this.hits.length) return;
    const below = this.element.getBoundingClientRect().bottom - window.innerHeight;
    if (below > NEAR_END * window.innerHeight) return;
    this.asked = true;
    const answer = this.options.onNearEnd();
    if (!(answer instanceof Promise)) return;
    this.pending = answer;
    answer.finally(() => {
      if (this.pending !== answer) return;
      this.pending = null;
      if (!this.asked) this.later();
      this.asked = false;
    });
  }

  /** Bring the document up to the layout and the window's place. */
  render() {
    const focus = this.element.contains(document.activeElement) ? document.activeElement : null;
    const blocks = this.blocksToShow(focus !== null);
    const rows = blocks.map((at) => this.rowAt(at)); // takes cells out of rows laid anew
    const shown = new Set(rows);
    for (const [block, row] of this.rows) {
      if (shown.has(row)) continue;
      row.remove();
      this.rows.delete(block);
    }
    rows.forEach((row, place) => {
      const there = this.element.children[place];
      if (row !== there) this.element.insertBefore(row, there ?? null);
    });
    this.forgetCells();
    this.setActive(this.active);
    this.describe();
    // A cell that went to another row has lost the focus.
    const lost = focus?.isConnected && focus !== document.activeElement;
    if (lost) focus.focus({ preventScroll: true });
  }

  /** Positions of the blocks near the window, in order, and of the row that has the focus. */
  blocksToShow(hasFocus) {
    if (!this.hits.length) return [];
    const top = -this.element.getBoundingClientRect().top;
    const [first, end] = blocksNear(this.layout, top, window.innerHeight);
    const shown = Array.from({ length: end - first }, (_, place) => first + place);
    const active = rowOf(this.layout, this.active);
    if (active >= first && active < end) return shown;
    // Without the focus, the tab stop goes where the eye is.
    if (!hasFocus) this.active = firstRowFrom(this.layout, top).first;
    else if (active < first) shown.unshift(active);
    else shown.push(active);
    return shown;
  }

  rowAt(at) {
    const block = this.layout.blocks[at];
    if (this.rows.has(block)) return this.rows.get(block);
    const row = block.kind === 'heading' ? headingRow(block.section) : this.pictureRow(block);
    row.ariaRowIndex = String(at + 1);
    row.style.top = `${block.top}px`;
    row.style.height = `${block.height}px`;
    this.rows.set(block, row);
    return row;
  }

  pictureRow(block) {
    const cells = block.widths.map((_, place) => {
      const index = block.first + place;
      const hit = this.hits[index];
      const cell = this.cells.get(index) ?? makeCell(hit, index, this.options);
      placeCell(cell, block, place, (size) => this.options.thumbnail(hit.id, size));
      this.cells.set(index, cell);
      return cell;
    });
    return h('div', { role: 'row', class: 'grid-row' }, ...cells);
  }

  forgetCells() {
    for (const [index, cell] of this.cells) {
      if (cell.isConnected) continue;
      cell.querySelector('img').removeAttribute('src'); // ends a download nobody waits for
      this.cells.delete(index);
    }
  }

  describe() {
    const { blocks, height } = this.layout;
    this.element.style.height = `${height}px`;
    this.element.role = blocks.length ? 'grid' : null; // a grid must have rows
    this.element.ariaLabel = blocks.length ? 'Pictures' : null;
    this.element.ariaRowCount = blocks.length ? String(this.done ? blocks.length : -1) : null;
  }

  setActive(index) {
    const [before, now] = [this.stop, this.cells.get(index)];
    this.active = index;
    this.stop = now;
    if (before && before !== now) before.tabIndex = -1;
    if (now) now.tabIndex = 0;
  }

  focusAt(index) {
    if (!this.cells.has(index)) this.scrollToRow(index, window.innerHeight / 3);
    const cell = this.cells.get(index);
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: 'nearest', behavior: 'instant' });
  }

  hitOf(target) {
    return this.hits[target.closest('[role=gridcell][data-index]')?.dataset.index];
  }

  focused({ target }) {
    const hit = this.hitOf(target);
    if (hit) this.setActive(this.indexOf(hit.id));
  }

  clicked(event) {
    const hit = this.hitOf(event.target);
    const action = event.target.closest('button')?.dataset.action;
    if (!hit) return;
    if (action) this.options[action](hit);
    // With a modifier it is a link to the original, for a new tab or window.
    else if (!event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.options.onOpen(hit);
    }
  }

  pressed(event) {
    const hit = this.hitOf(event.target);
    if (!hit || event.altKey || event.metaKey) return;
    const key = event.ctrlKey ? `Control+${event.key}` : event.key;
    const to = moved(this.layout, this.indexOf(hit.id), key, window.innerHeight);
    const action = SHORTCUTS[key.toLowerCase()];
    const opens = (key === 'Enter' || key === ' ') && !event.target.closest('button');
    if (to !== null) this.focusAt(to);
    else if (action && (action !== 'onCopies' || hit.copies?.length)) this.options[action](hit);
    else if (opens) this.options.onOpen(hit);
    else return;
    event.preventDefault();
  }
}

/** The elements of the grid: headings, and cells with a picture. */

import { counted, h } from './dom.js';
import { dateWords, described, headingOf } from './layout.js';

const LARGE_FROM = 400; // a wider cell than this needs the large thumbnail

/** A heading as a row of the grid. @param {string} section of the layout */
export function headingRow(section) {
  const { words, title, band } = headingOf(section);
  const heading = h('h2', { title: title || null }, words);
  return h('div', { role: 'row', class: band ? 'band' : 'group', 'data-band': band },
    h('div', { role: 'gridcell' }, heading));
}

/**
 * @param {import('./layout.js').Hit} hit @param {number} index
 * @param {import('./grid.js').GridOptions} options
 */
export function makeCell(hit, index, { original, thumbnail }) {
  const copies = hit.copies?.length ? counted(hit.copies.length, 'copy', 'copies') : '';
  const image = h('img', { alt: described(hit), loading: 'lazy', decoding: 'async' });
  const href = original?.(hit.id) ?? originalFrom(thumbnail(hit.id, 'large'));
  const picture = h('a', { class: 'cell-picture', href, tabindex: -1, target: '_blank',
    rel: 'noopener', draggable: 'false' }, image);
  const cell = h('div', { class: 'cell', role: 'gridcell', tabindex: -1, 'data-id': hit.id,
    'data-index': index, 'aria-label': [described(hit), copies].filter(Boolean).join(', '),
    'aria-keyshortcuts': copies ? 'm l c' : 'm l' },
  picture,
  h('div', { class: 'cell-caption', 'aria-hidden': 'true' },
    h('span', { class: 'cell-name' }, hit.name), h('span', {}, dateWords(hit.taken_at))),
  h('div', { class: 'cell-actions' }, button('onMore', 'More', 'More like this', 'm'),
    button('onLess', 'Less', 'Less like this', 'l')),
  copies ? button('onCopies', `+${hit.copies.length}`, copies, 'c') : null);
  image.addEventListener('load', () => cell.classList.add('loaded'));
  image.addEventListener('error', () => {
    if (!cell.classList.contains('broken')) picture.append(h('span', {}, 'Cannot be shown'));
    cell.classList.add('broken');
  });
  return cell;
}

/** Not in the tab order, as nothing inside a cell is: it has a key. */
function button(action, words, name, key) {
  return h('button', { type: 'button', class: `cell-${action.slice(2).toLowerCase()}`, tabindex: -1,
    title: `${name} (${key})`, 'aria-label': name, 'data-action': action }, words);
}

function originalFrom(thumbnail) {
  const url = new URL(thumbnail, document.baseURI);
  url.pathname = url.pathname.replace(/thumbnail$/, 'original');
  url.searchParams.delete('size');
  return url.href;
}

/** Put a cell at its place in a row. */
export function placeCell(cell, { lefts, widths, height }, place, thumbnail) {
  const [width, image] = [widths[place], cell.querySelector('img')];
  cell.style.left = `${lefts[place]}px`;
  cell.style.width = `${width}px`;
  cell.ariaColIndex = String(place + 1);
  image.width = width;
  image.height = height;
  const source = thumbnail(width > LARGE_FROM ? 'large' : 'small');
  if (image.getAttribute('src') !== source) image.src = source;
}

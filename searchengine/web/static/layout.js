/**
 * Where each picture of the grid stands: justified rows under headings. No DOM: hits go in,
 * numbers and words come out.
 *
 * A layout is never changed in place: `extend` returns a new one and shares the rows that stay.
 *
 * @typedef {{id: number, name: string, width?: number|null, height?: number|null,
 *   taken_at?: string|null, relevance?: 'strong'|'likely'|'weak'|null, copies?: number[],
 *   group?: string|null}} Hit
 * @typedef {{width: number, target: number, gap: number, heading: number, bands: boolean}} Settings
 *   Pixels; `target` is the height rows aim at, `heading` the height of a heading. `bands`: whether
 *   hits without a group are parted by their relevance.
 * @typedef {{kind: 'heading', section: string, first: number, top: number, height: number}} Heading
 * @typedef {{kind: 'row', section: string, first: number, top: number, height: number,
 *   lefts: number[], widths: number[]}} Row
 *   `first` is the index of its first hit, `lefts` and `widths` have one number a hit.
 * @typedef {{settings: Settings, blocks: (Heading|Row)[], height: number}} Layout
 */

const NARROWEST = 0.4;
const WIDEST = 4;
const PHONE = 600;
const MARGIN = 1.5;
const MOST_CELLS = 280;
const BANDS = {
  strong: 'Strong matches',
  likely: 'Likely',
  weak: 'Weak: the nearest, probably not what you asked for',
};
const ORDER = Object.keys(BANDS);

/** @param {number} width of the grid @param {boolean} bands @returns {Settings} */
export function settingsFor(width, bands) {
  const phone = width < PHONE;
  const room = Math.max(width, 100);
  return { width: room, target: phone ? 150 : 220, gap: 6, heading: phone ? 60 : 52, bands };
}

/** @param {Settings} settings @returns {Layout} */
export function emptyLayout(settings) {
  return { settings, blocks: [], height: 0 };
}

/**
 * Lay out the hits that came after those of `layout`. Only the last row, which may not have been
 * full, is laid anew: the result is the same as laying all of them at once.
 *
 * @param {Layout} layout @param {Hit[]} hits all of them, the old ones first @returns {Layout}
 */
export function extend(layout, hits) {
  const { settings } = layout;
  const blocks = layout.blocks.slice();
  const last = blocks.pop();
  let { first: index, top, section } = last ?? { first: 0, top: 0, section: '' };
  while (index < hits.length) {
    const next = sectionOf(hits[index], section, settings.bands);
    if (next !== section) {
      const height = next ? settings.heading : 0;
      if (height) blocks.push({ kind: 'heading', section: next, first: index, top, height });
      top += height;
      section = next;
    }
    const row = nextRow(hits, index, top, section, settings);
    blocks.push(row);
    top += row.height + settings.gap;
    index += row.widths.length;
  }
  return { settings, blocks, height: Math.max(0, top - settings.gap) };
}

/** The key of a hit's section; hits that say nothing stay in the section they follow. */
function sectionOf(hit, before, bands) {
  if (hit.group !== undefined) return `group:${hit.group ?? ''}`;
  return bands && hit.relevance ? `band:${hit.relevance}` : before;
}

/**
 * Fill a row until it would be no higher than the target, with or without the picture that fills
 * it, whichever comes nearer; the last row of a section keeps the target height.
 *
 * @returns {Row}
 */
function nextRow(hits, first, top, section, settings) {
  const { width, target, gap, bands } = settings;
  const heightOf = (sum, count) => (width - gap * (count - 1)) / sum;
  const aspects = [];
  let sum = 0;
  let height = target;
  for (let index = first; index < hits.length; index += 1) {
    if (sectionOf(hits[index], section, bands) !== section) break;
    const aspect = aspectOf(hits[index]);
    const filled = heightOf(sum + aspect, aspects.length + 1);
    const without = aspects.length ? heightOf(sum, aspects.length) : Infinity;
    if (filled <= target && without * filled < target * target) {
      height = without;
      break;
    }
    aspects.push(aspect);
    sum += aspect;
    if (filled <= target) {
      height = filled;
      break;
    }
  }
  return { kind: 'row', section, first, top, height: Math.round(height),
    ...spread(aspects, height, gap) };
}

/** Whole pixels that add up: each edge is rounded, not each width. */
function spread(aspects, height, gap) {
  const lefts = [];
  const widths = [];
  let x = 0;
  for (const aspect of aspects) {
    lefts.push(Math.round(x));
    widths.push(Math.round(x + aspect * height) - Math.round(x));
    x += aspect * height + gap;
  }
  return { lefts, widths };
}

function aspectOf(hit) {
  const aspect = hit.width > 0 && hit.height > 0 ? hit.width / hit.height : 1;
  return Math.min(WIDEST, Math.max(NARROWEST, aspect));
}

/**
 * Whether bands can part the hits: none is more relevant than one before it (sorted by date, they
 * would alternate).
 *
 * @param {Hit[]} hits @returns {boolean}
 */
export function inBandOrder(hits) {
  let reached = 0;
  for (const { relevance } of hits) {
    const band = relevance ? ORDER.indexOf(relevance) : reached;
    if (band < reached) return false;
    reached = band;
  }
  return true;
}

/** The first position in 0..count where `passes` holds; it must hold for all that follow. */
function firstWhere(count, passes) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (passes(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The blocks that show between two heights.
 *
 * @param {Layout} layout @returns {[number, number]} the first, and the one after the last
 */
export function blocksBetween({ blocks }, top, bottom) {
  const first = firstWhere(blocks.length, (at) => blocks[at].top + blocks[at].height > top);
  return [first, Math.max(first, firstWhere(blocks.length, (at) => blocks[at].top >= bottom))];
}

/**
 * The first row that reaches below a height; the last one where none does.
 *
 * @param {Layout} layout @returns {Row|undefined} undefined: there are no rows
 */
export function firstRowFrom(layout, top) {
  const { blocks } = layout;
  const [at] = blocksBetween(layout, top, Infinity);
  return blocks.slice(at, at + 2).find((block) => block.kind === 'row') ?? blocks.at(-1);
}

/**
 * The blocks to keep in the document: those in the window and MARGIN windows above and below it,
 * less where that would be more than MOST_CELLS pictures.
 *
 * @param {Layout} layout @returns {[number, number]} the first, and the one after the last
 */
export function blocksNear(layout, top, page) {
  const cellsOf = (at) => layout.blocks[at].widths?.length ?? 0;
  let [first, end] = blocksBetween(layout, top - MARGIN * page, top + (1 + MARGIN) * page);
  const [seen, unseen] = blocksBetween(layout, top, top + page);
  let cells = 0;
  for (let at = first; at < end; at += 1) cells += cellsOf(at);
  while (cells > MOST_CELLS && (first < seen || end > unseen)) {
    if (seen - first > end - unseen) cells -= cellsOf(first++);
    else cells -= cellsOf(--end);
  }
  return [first, end];
}

/** The position among the blocks of the row that holds a hit. @param {Layout} layout */
export function rowOf({ blocks }, index) {
  return firstWhere(blocks.length, (at) => blocks[at].first > index) - 1;
}

/**
 * The hit a key leads to.
 *
 * @param {Layout} layout @param {number} index of the hit that has the focus
 * @param {string} key as in KeyboardEvent.key; with `Control+` before Home and End for the ends
 * @param {number} page height of the window
 * @returns {number|null} null: the key moves nothing
 */
export function moved(layout, index, key, page) {
  const { blocks } = layout;
  const at = rowOf(layout, index);
  const row = blocks[at];
  const last = blocks.at(-1).first + blocks.at(-1).widths.length - 1;
  switch (key) {
    case 'ArrowLeft': return Math.max(0, index - 1);
    case 'ArrowRight': return Math.min(last, index + 1);
    case 'Home': return row.first;
    case 'End': return row.first + row.widths.length - 1;
    case 'Control+Home': return 0;
    case 'Control+End': return last;
    case 'ArrowUp': return below(blocks, at, at - 1, -1, index);
    case 'ArrowDown': return below(blocks, at, at + 1, 1, index);
    case 'PageUp': {
      const [reached] = blocksBetween(layout, row.top - page + row.height, Infinity);
      const under = blocks[reached].kind === 'heading' ? reached + 1 : reached;
      return below(blocks, at, Math.min(under, at - 1), -1, index);
    }
    case 'PageDown': {
      const [reached] = blocksBetween(layout, row.top + page - row.height, Infinity);
      return below(blocks, at, Math.max(Math.min(reached, blocks.length - 1), at + 1), 1, index);
    }
    default: return null;
  }
}

/** The hit of row `to` (or the next row that way) whose centre is nearest; `index` at the ends. */
function below(blocks, from, to, step, index) {
  let at = to;
  while (blocks[at]?.kind === 'heading') at += step;
  const row = blocks[at];
  if (!row) return index;
  const centre = centreOf(blocks[from], index - blocks[from].first);
  let best = 0;
  for (let place = 1; place < row.widths.length; place += 1) {
    const nearer = Math.abs(centreOf(row, place) - centre) < Math.abs(centreOf(row, best) - centre);
    if (nearer) best = place;
  }
  return row.first + best;
}

function centreOf(row, place) {
  return row.lefts[place] + row.widths[place] / 2;
}

/**
 * What stands over a section.
 *
 * @param {string} section @returns {{words: string, title: string, band: string|null}}
 *   `title` is the long form: the whole path of a folder.
 */
export function headingOf(section) {
  const value = section.slice(section.indexOf(':') + 1);
  if (section.startsWith('band:')) return { words: BANDS[value] ?? value, title: '', band: value };
  if (/^\d{4}-\d{2}-\d{2}$/.test(value)) {
    return { words: dateWords(value, { dateStyle: 'full' }), title: value, band: null };
  }
  const name = value.split(/[\\/]/).filter(Boolean).at(-1);
  return { words: name ?? (value || 'Without a date'), title: value, band: null };
}

// The page speaks English: a reader's own English if they have one.
const LOCALE = globalThis.navigator?.languages?.find((one) => /^en\b/.test(one)) ?? 'en-GB';

/**
 * A date as people write it. What a camera wrote has no time zone, so none is applied.
 *
 * @param {string|null|undefined} written ISO 8601 @param {Intl.DateTimeFormatOptions} options
 */
export function dateWords(written, options = { dateStyle: 'long' }) {
  const parts = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2}))?/.exec(written ?? '');
  if (!parts) return written ?? '';
  const [year, month, day, hour, minute] = parts.slice(1).map((part) => Number(part ?? 0));
  const moment = new Date(Date.UTC(year, month - 1, day, hour, minute));
  return new Intl.DateTimeFormat(LOCALE, { ...options, timeZone: 'UTC' }).format(moment);
}

/** What is known of a picture in one line: 'IMG_2041.jpg, 1 July 2024, strong match'. */
export function described(/** @type {Hit} */ hit) {
  const match = hit.relevance ? `${hit.relevance} match` : '';
  return [hit.name, dateWords(hit.taken_at), match].filter(Boolean).join(', ');
}

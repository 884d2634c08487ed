/** Fits a picture to the stage; zooms and pans it with pointer, wheel and pinch; sees swipes. */
export class Zoom {
  /** @param {HTMLElement} stage @param {(step: -1|1) => void} onSwipe */
  constructor(stage, onSwipe) {
    this.stage = stage;
    this.onSwipe = onSwipe;
    this.pointers = new Map();
    stage.addEventListener('pointerdown', (event) => this.down(event));
    stage.addEventListener('pointermove', (event) => this.move(event));
    stage.addEventListener('pointerup', (event) => this.up(event));
    stage.addEventListener('pointercancel', ({ pointerId }) => this.pointers.delete(pointerId));
    stage.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.draw()).observe(stage);
    this.begin();
  }

  /** Fit a new picture. @param {{width?: number|null, height?: number|null}} [size] if known */
  begin(size) {
    this.size = null;
    this.sized(size);
    this.fit();
  }

  /** Take the size of the original, or that of what is shown for want of it. */
  sized(size) {
    const image = this.stage.querySelector('img');
    if (size?.width > 0 && size.height > 0) this.size = { width: size.width, height: size.height };
    else if (image?.naturalWidth) {
      this.size ??= { width: image.naturalWidth, height: image.naturalHeight };
    }
    this.draw();
  }

  fit() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.draw();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.draw();
  }

  /** Zoom about a point, given from the middle of the stage. */
  by(factor, point = { x: 0, y: 0 }) {
    const scale = Math.min(this.most, Math.max(1, this.scale * factor));
    const ratio = scale / this.scale;
    this.scale = scale;
    this.pan((point.x - this.x) * (1 - ratio), (point.y - this.y) * (1 - ratio));
  }

  draw() {
    const image = this.stage.querySelector('img');
    if (!image || !this.size) return;
    const { clientWidth, clientHeight } = this.stage;
    this.shrunk = Math.min(clientWidth / this.size.width, clientHeight / this.size.height, 1);
    this.most = Math.max(4, 2 / this.shrunk);
    const [width, height] = [this.size.width * this.shrunk, this.size.height * this.shrunk];
    const within = (offset, much, room) => {
      const free = Math.max(0, (much * this.scale - room) / 2);
      return Math.min(free, Math.max(-free, offset));
    };
    this.x = within(this.x, width, clientWidth);
    this.y = within(this.y, height, clientHeight);
    image.style.width = `${width}px`;
    image.style.height = `${height}px`;
    image.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.stage.classList.toggle('zoomed', this.scale > 1);
  }

  pointOf({ clientX, clientY }) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    return { x: clientX - left - width / 2, y: clientY - top - height / 2 };
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.by(Math.exp(-0.002 * lines * event.deltaY), this.pointOf(event));
  }

  down(event) {
    if (event.button !== 0) return;
    const point = this.pointOf(event);
    this.pointers.set(event.pointerId, point);
    this.stage.setPointerCapture(event.pointerId);
    if (this.pointers.size > 1) this.moved = Infinity; // a pinch, whatever becomes of it
    else Object.assign(this, { moved: 0, from: point, onPicture: event.target.matches('img') });
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.pointOf(event);
    this.pointers.set(event.pointerId, now);
    this.moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (this.scale > 1) this.pan(now.x - before.x, now.y - before.y);
    if (this.pointers.size !== 2) return;
    const [other] = [...this.pointers.values()].filter((point) => point !== now);
    const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    this.by(distance(now) / distance(before), other);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size) return;
    const point = this.pointOf(event);
    const [dx, dy] = [point.x - this.from.x, point.y - this.from.y];
    const level = Math.abs(dx) > 50 && Math.abs(dx) > 2 * Math.abs(dy);
    if (this.moved < 6 && this.onPicture) this.toggle(point);
    else if (level && this.scale === 1 && this.moved < Infinity && event.pointerType !== 'mouse') {
      this.onSwipe(dx < 0 ? 1 : -1);
    }
  }

  /** From the fit to the picture's own pixels, or to twice the fit where that is more; and back. */
  toggle(point) {
    if (this.scale > 1) this.fit();
    else this.by(Math.max(2, 1 / this.shrunk), point);
  }
}

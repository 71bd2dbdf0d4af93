/** Undo and redo without limit, over values that are never changed in place. */

export class History<T> {
  private past: T[] = [];
  private future: T[] = [];

  constructor(private present: T) {}

  get value(): T {
    return this.present;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  push(value: T): void {
    this.past.push(this.present);
    this.present = value;
    this.future = [];
  }

  /** Change every value, such as by what somebody else did meanwhile: to undo is then to undo only what I did. */
  rebase(change: (value: T) => T): void {
    this.past = this.past.map(change);
    this.future = this.future.map(change);
    this.present = change(this.present);
  }

  undo(): boolean {
    const value = this.past.pop();
    if (value === undefined) return false;
    this.future.push(this.present);
    this.present = value;
    return true;
  }

  redo(): boolean {
    const value = this.future.pop();
    if (value === undefined) return false;
    this.past.push(this.present);
    this.present = value;
    return true;
  }
}

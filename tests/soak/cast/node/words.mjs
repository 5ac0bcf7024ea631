// What a program says: a line of JSON.
export const say = (words) => console.log(JSON.stringify(words))

export const now = () => Date.now() / 1000

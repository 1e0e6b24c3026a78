// Records what Twilio's own calculator says of some 200 texts; `test_sms_parts.py` holds ours against it.
//     npm install sms-segments-calculator@1.3.0 && node record.js > recorded.json
const { SegmentedMessage } = require("sms-segments-calculator");

// Each is one grapheme: the calculator keeps the characters of a cluster together, as few networks do.
const alphabets = {
  ascii: [..."Your cart waits, Ana: 3 items. Reply STOP"],
  gsm: [..."@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà\n\r"],
  extended: [..."ab^{}\\[~]|€\f"],
  pairs: [..."€"],
  latin: [..."Olá, você ça ş ğ – “x” ’"],
  cyrillic: [..."Привет, ваша корзина"],
  greek: [..."Γειά σου Κόσμε"],
  cjk: [..."您的购物车在等您"],
  emoji: [..."🛒🎉😀🚚"],
  mixed: [..."Cart 🛒 waits € [x]"],
  backtick: [..."a`b"],
};
const lengths = [1, 2, 33, 35, 66, 67, 68, 69, 70, 71, 79, 80, 81, 133, 134, 135, 152, 153, 154, 159, 160, 161, 201, 305, 306, 307, 459, 460, 800];
const picks = { ascii: 0, gsm: 3, extended: 5, pairs: 1, latin: 2, cyrillic: 4, greek: 1, cjk: 3, emoji: 1, mixed: 7, backtick: 2 };

const rows = [];
let turn = 0;
for (const [name, alphabet] of Object.entries(alphabets)) {
  for (const length of lengths) {
    turn += 1;
    if (turn % 3 === 0) continue; // about 200 are enough
    let text = "";
    for (let i = 0; i < length; i += 1) text += alphabet[(i * (picks[name] + 1) + turn) % alphabet.length];
    rows.push(text);
  }
}
// A character of two places at each place around a part's end.
for (const filler of ["a", "ж"]) {
  const room = filler === "a" ? 153 : 67;
  for (let before = room - 3; before <= room; before += 1) {
    rows.push(filler.repeat(before) + (filler === "a" ? "€" : "🛒") + filler.repeat(room));
  }
}
console.log("[");
rows.forEach((text, index) => {
  const found = new SegmentedMessage(text);
  const row = { text, encoding: found.encodingName, parts: found.segmentsCount };
  console.log("  " + JSON.stringify(row) + (index + 1 < rows.length ? "," : ""));
});
console.log("]");

/* SPDX-License-Identifier: MIT
 *
 * words.c - the tables. Objects are the published ones, but for "people" (a boy is
 * people too) and "fork" (its emoji has a knife beside it). Colours are CLEVR's.
 * Countries have one main language, one capital, and a flag like no other's here.
 */
#include "scene/words.h"

const tl_icon tl_objects[TL_OBJECTS] = {
    {"apple", "🍎"},  {"banana", "🍌"}, {"dog", "🐶"},     {"cat", "🐱"},
    {"cow", "🐮"},    {"bird", "🐦"},   {"horse", "🐴"},   {"truck", "🚚"},
    {"boat", "⛵"},   {"car", "🚗"},    {"bike", "🚲"},    {"ball", "⚽"},
    {"tree", "🌳"},   {"flower", "🌸"}, {"book", "📕"},    {"chair", "🪑"},
    {"cup", "☕"},    {"key", "🔑"},    {"bag", "👜"},     {"hat", "🎩"},
    {"girl", "👧"},   {"boy", "👦"},    {"orange", "🍊"},  {"knife", "🔪"},
    {"toy", "🧸"}, {"card", "🃏"},   {"coin", "🪙"},
};

const tl_color tl_colors[TL_COLORS] = {
    {"purple", 129 / 255.0, 38 / 255.0, 192 / 255.0},
    {"gray", 87 / 255.0, 87 / 255.0, 87 / 255.0},
    {"cyan", 41 / 255.0, 208 / 255.0, 208 / 255.0},
    {"blue", 42 / 255.0, 75 / 255.0, 215 / 255.0},
    {"brown", 129 / 255.0, 74 / 255.0, 25 / 255.0},
    {"yellow", 255 / 255.0, 238 / 255.0, 51 / 255.0},
    {"green", 29 / 255.0, 105 / 255.0, 20 / 255.0},
    {"red", 173 / 255.0, 35 / 255.0, 35 / 255.0},
};

const char *const tl_question_text[TL_QUESTIONS] = {
    [TL_QUESTION_CONTINENT] = "What continent is this country in?",
    [TL_QUESTION_LANGUAGE] = "What language does this country speak?",
    [TL_QUESTION_CAPITAL] = "What capital does this country have?",
    [TL_QUESTION_COUNTRY] = "Which country is this landmark in?",
    [TL_QUESTION_SPORT] = "What sport does this athlete play?",
    [TL_QUESTION_INSTRUMENT] = "What instrument does this person play?",
};

const char *const tl_question_name[TL_QUESTIONS] = {
    "continent", "language", "capital", "country", "sport", "instrument",
};

#define COUNTRY(word, flag, continent, language, capital)                              \
    {                                                                                  \
        word, word, flag,                                                              \
        {                                                                              \
            continent, language, capital                                               \
        }                                                                              \
    }
#define OTHER(name, word, emoji, question, fact)                                       \
    {                                                                                  \
        name, word, emoji,                                                             \
        {                                                                              \
            [TL_QUESTION_##question] = fact                                            \
        }                                                                              \
    }

const tl_entity tl_entities[TL_ENTITIES] = {
    COUNTRY("France", "🇫🇷", "Europe", "French", "Paris"),
    COUNTRY("Germany", "🇩🇪", "Europe", "German", "Berlin"),
    COUNTRY("Italy", "🇮🇹", "Europe", "Italian", "Rome"),
    COUNTRY("Spain", "🇪🇸", "Europe", "Spanish", "Madrid"),
    COUNTRY("Portugal", "🇵🇹", "Europe", "Portuguese", "Lisbon"),
    COUNTRY("Greece", "🇬🇷", "Europe", "Greek", "Athens"),
    COUNTRY("Sweden", "🇸🇪", "Europe", "Swedish", "Stockholm"),
    COUNTRY("Norway", "🇳🇴", "Europe", "Norwegian", "Oslo"),
    COUNTRY("Finland", "🇫🇮", "Europe", "Finnish", "Helsinki"),
    COUNTRY("Denmark", "🇩🇰", "Europe", "Danish", "Copenhagen"),
    COUNTRY("Poland", "🇵🇱", "Europe", "Polish", "Warsaw"),
    COUNTRY("Hungary", "🇭🇺", "Europe", "Hungarian", "Budapest"),
    COUNTRY("Austria", "🇦🇹", "Europe", "German", "Vienna"),
    COUNTRY("Britain", "🇬🇧", "Europe", "English", "London"),
    COUNTRY("Ukraine", "🇺🇦", "Europe", "Ukrainian", "Kyiv"),
    COUNTRY("Japan", "🇯🇵", "Asia", "Japanese", "Tokyo"),
    COUNTRY("China", "🇨🇳", "Asia", "Chinese", "Beijing"),
    COUNTRY("Korea", "🇰🇷", "Asia", "Korean", "Seoul"),
    COUNTRY("India", "🇮🇳", "Asia", "Hindi", "Delhi"),
    COUNTRY("Vietnam", "🇻🇳", "Asia", "Vietnamese", "Hanoi"),
    COUNTRY("Thailand", "🇹🇭", "Asia", "Thai", "Bangkok"),
    COUNTRY("Nepal", "🇳🇵", "Asia", "Nepali", "Kathmandu"),
    COUNTRY("Lebanon", "🇱🇧", "Asia", "Arabic", "Beirut"),
    COUNTRY("Qatar", "🇶🇦", "Asia", "Arabic", "Doha"),
    COUNTRY("Iran", "🇮🇷", "Asia", "Persian", "Tehran"),
    COUNTRY("Mongolia", "🇲🇳", "Asia", "Mongolian", "Ulaanbaatar"),
    COUNTRY("Egypt", "🇪🇬", "Africa", "Arabic", "Cairo"),
    COUNTRY("Morocco", "🇲🇦", "Africa", "Arabic", "Rabat"),
    COUNTRY("Ghana", "🇬🇭", "Africa", "English", "Accra"),
    COUNTRY("Nigeria", "🇳🇬", "Africa", "English", "Abuja"),
    COUNTRY("Senegal", "🇸🇳", "Africa", "French", "Dakar"),
    COUNTRY("Angola", "🇦🇴", "Africa", "Portuguese", "Luanda"),
    COUNTRY("Somalia", "🇸🇴", "Africa", "Somali", "Mogadishu"),
    COUNTRY("Ethiopia", "🇪🇹", "Africa", "Amharic", "Addis Ababa"),
    COUNTRY("Canada", "🇨🇦", "North America", "English", "Ottawa"),
    COUNTRY("Cuba", "🇨🇺", "North America", "Spanish", "Havana"),
    COUNTRY("Jamaica", "🇯🇲", "North America", "English", "Kingston"),
    COUNTRY("Brazil", "🇧🇷", "South America", "Portuguese", "Brasilia"),
    COUNTRY("Argentina", "🇦🇷", "South America", "Spanish", "Buenos Aires"),
    COUNTRY("Chile", "🇨🇱", "South America", "Spanish", "Santiago"),
    COUNTRY("Peru", "🇵🇪", "South America", "Spanish", "Lima"),
    COUNTRY("Uruguay", "🇺🇾", "South America", "Spanish", "Montevideo"),
    COUNTRY("Colombia", "🇨🇴", "South America", "Spanish", "Bogota"),
    OTHER("Mount Fuji", "Fuji", "🗻", COUNTRY, "Japan"),
    OTHER("Tokyo Tower", "Tower", "🗼", COUNTRY, "Japan"),
    OTHER("the Statue of Liberty", "Liberty", "🗽", COUNTRY, "United States"),
    OTHER("Moai", "Moai", "🗿", COUNTRY, "Chile"),
    OTHER("the Kaaba", "Kaaba", "🕋", COUNTRY, "Saudi Arabia"),
    OTHER("a surfer", "surfer", "🏄", SPORT, "surfing"),
    OTHER("a swimmer", "swimmer", "🏊", SPORT, "swimming"),
    OTHER("a skier", "skier", "⛷", SPORT, "skiing"),
    OTHER("a snowboarder", "snowboarder", "🏂", SPORT, "snowboarding"),
    OTHER("a weightlifter", "weightlifter", "🏋", SPORT, "weightlifting"),
    OTHER("a fencer", "fencer", "🤺", SPORT, "fencing"),
    OTHER("a cyclist", "cyclist", "🚴", SPORT, "cycling"),
    OTHER("a golfer", "golfer", "🏌", SPORT, "golf"),
    OTHER("a rower", "rower", "🚣", SPORT, "rowing"),
    OTHER("a wrestler", "wrestler", "🤼", SPORT, "wrestling"),
    OTHER("a gymnast", "gymnast", "🤸", SPORT, "gymnastics"),
    OTHER("a climber", "climber", "🧗", SPORT, "climbing"),
    OTHER("a boxer", "boxer", "🥊", SPORT, "boxing"),
    OTHER("an archer", "archer", "🏹", SPORT, "archery"),
    OTHER("a bowler", "bowler", "🎳", SPORT, "bowling"),
    OTHER("a skater", "skater", "⛸", SPORT, "skating"),
    OTHER("a violinist", "violinist", "🎻", INSTRUMENT, "violin"),
    OTHER("a guitarist", "guitarist", "🎸", INSTRUMENT, "guitar"),
    OTHER("a drummer", "drummer", "🥁", INSTRUMENT, "drums"),
    OTHER("a trumpeter", "trumpeter", "🎺", INSTRUMENT, "trumpet"),
    OTHER("a pianist", "pianist", "🎹", INSTRUMENT, "piano"),
    OTHER("a saxophonist", "saxophonist", "🎷", INSTRUMENT, "saxophone"),
    OTHER("an accordionist", "accordionist", "🪗", INSTRUMENT, "accordion"),
    OTHER("a banjoist", "banjoist", "🪕", INSTRUMENT, "banjo"),
};

const char *const tl_introductions[TL_INTRODUCTIONS] = {
    "Consider", "Imagine", "Recall", "Picture",  "Remember",    "Take",      "Describe",
    "Suppose",  "Note",    "Study",  "Observe",  "Regard",      "Visualize", "Mention",
    "Mark",     "Examine", "Ponder", "Envision", "Contemplate", "Review",    "Choose",
    "Pick",     "Select",  "Notice", "Behold",   "Explore",     "Discuss",   "Assume",
    "See",      "Meet",    "Find",   "Show",
};

const char *const tl_mood_name[TL_MOODS] = {"happy", "sad", "neutral"};

const tl_icon tl_faces[TL_MOODS][TL_FACES] = {
    [TL_HAPPY] = {{"laughs", "😆"},
                  {"smiles", "😊"},
                  {"plays", "😁"},
                  {"celebrates", "🥳"},
                  {"dances", "😍"},
                  {"sings", "🤗"},
                  {"wins", "😄"},
                  {"jokes", "😜"}},
    [TL_SAD] = {{"cries", "😢"},
                {"loses", "😭"},
                {"screams", "😱"},
                {"regrets", "😞"},
                {"suffers", "😖"},
                {"worries", "😟"},
                {"fights", "😡"},
                {"hurts", "🤕"}},
    [TL_NEUTRAL] = {{"waits", "😐"},
                    {"pauses", "😶"},
                    {"sits", "😑"},
                    {"thinks", "🤔"},
                    {"doubts", "🤨"},
                    {"sleeps", "😴"},
                    {"reads", "🧐"},
                    {"looks", "🙄"}},
};

const tl_icon tl_things[TL_MOODS][TL_THINGS] = {
    [TL_HAPPY] = {{"gift", "🎁"},
                  {"cake", "🎂"},
                  {"balloon", "🎈"},
                  {"trophy", "🏆"},
                  {"bouquet", "💐"},
                  {"party", "🎉"},
                  {"heart", "💖"},
                  {"medal", "🥇"}},
    [TL_SAD] = {{"coffin", "⚰"},
                {"skull", "💀"},
                {"fire", "🔥"},
                {"bomb", "💣"},
                {"grave", "🪦"},
                {"warning", "🚨"},
                {"blood", "🩸"},
                {"trap", "🪤"}},
    [TL_NEUTRAL] = {{"door", "🚪"},
                    {"box", "📦"},
                    {"chair", "🪑"},
                    {"wall", "🧱"},
                    {"clock", "🕰"},
                    {"rock", "🪨"},
                    {"ladder", "🪜"},
                    {"spoon", "🥄"}},
};

const tl_icon tl_weathers[TL_MOODS][TL_WEATHERS] = {
    [TL_HAPPY] = {{"sun", "🌞"}, {"rainbow", "🌈"}, {"sunrise", "🌅"}, {"star", "🌟"}},
    [TL_SAD] = {{"rain", "🌧"},
                {"storm", "⛈"},
                {"tornado", "🌪"},
                {"lightning", "🌩"}},
    [TL_NEUTRAL] = {{"cloud", "☁"}, {"fog", "🌫"}, {"moon", "🌙"}, {"snow", "❄"}},
};

const char *const tl_persons[TL_PERSONS] = {
    "man",    "woman",  "boy",     "girl",    "child", "teacher",
    "doctor", "farmer", "soldier", "student", "nurse", "pilot",
};

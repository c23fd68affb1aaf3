#include "kernels.h"

#include <cctype>
#include <map>

namespace {

bool is_name(char character) {
    return isalnum((unsigned char)character) || character == '_';
}

// Lines of the preprocessor that state where the text comes from are space too.
void skip_space(const std::string &text, size_t &place) {
    while (place < text.size() && (isspace((unsigned char)text[place]) || text[place] == '#')) {
        place = text[place] == '#' ? text.find('\n', place) : place + 1;
    }
}

std::string read_name(const std::string &text, size_t &place) {
    size_t start = place;
    while (place < text.size() && is_name(text[place])) ++place;
    return text.substr(start, place - start);
}

// Past the bracket that closes the one at `place`, and what is between them.
std::string skip_brackets(const std::string &text, size_t &place) {
    size_t start = place + 1;
    for (int depth = 0; place < text.size();) {
        char character = text[place++];
        depth += character == '(' ? 1 : character == ')' ? -1 : 0;
        if (depth == 0) return text.substr(start, place - 1 - start);
    }
    return "";
}

// Up to the first comma that is in no brackets.
std::string first_argument(const std::string &arguments) {
    int depth = 0;
    for (size_t place = 0; place < arguments.size(); ++place) {
        char character = arguments[place];
        depth += character == '(' ? 1 : character == ')' ? -1 : 0;
        if (character == ',' && depth == 0) return arguments.substr(0, place);
    }
    return arguments;
}

// Overwrites with spaces, so that columns stay.
void blank(std::string &text, size_t from, size_t to) {
    for (size_t place = from; place < to; ++place) {
        if (text[place] != '\n') text[place] = ' ';
    }
}

}  // namespace

std::string prepare_kernels(const std::string &source) {
    const std::string MARK = "__global__", BOUNDS = "__launch_bounds__", LINKAGE = "extern \"C\"";
    std::string text = source;
    std::map<std::string, std::string> bounds_by_name;
    size_t place = 0;
    while ((place = text.find(MARK, place)) != std::string::npos) {
        size_t before = place == 0 ? std::string::npos : text.find_last_of(";}", place - 1);
        size_t linkage = text.rfind(LINKAGE, place);
        bool is_c = linkage != std::string::npos && (before == std::string::npos || linkage > before);
        blank(text, place, place + MARK.size());
        place += MARK.size();
        std::string bounds = "1024", name;
        // Words up to the one before the parameters; some of them have brackets of their own.
        while (place < text.size()) {
            skip_space(text, place);
            size_t start = place;
            std::string word = read_name(text, place);
            skip_space(text, place);
            if (word.empty()) break;
            if (place >= text.size() || text[place] != '(') continue;
            if (word != BOUNDS && word != "__attribute__") {
                name = word;
                break;
            }
            std::string arguments = skip_brackets(text, place);
            if (word != BOUNDS) continue;
            bounds = first_argument(arguments);
            blank(text, start, place);
        }
        if (is_c && !name.empty() && (bounds != "1024" || !bounds_by_name.count(name))) bounds_by_name[name] = bounds;
    }
    text += "\n# 1 \"kernels' calls\"\nextern \"C\" {\n";
    const std::string visible = "__attribute__((visibility(\"default\"))) ";
    for (const auto &[name, bounds] : bounds_by_name) {
        text += visible + "void emulated_call_" + name + "(void **p) { emulated_call(" + name + ", p); }\n";
        text += visible + "extern const unsigned emulated_bounds_" + name + ";\n";
        text += "const unsigned emulated_bounds_" + name + " = " + bounds + ";\n";
        std::string sizes = "const EmulatedSizes<decltype(" + name + ")> emulated_sizes_" + name;
        text += visible + "extern " + sizes + ";\n" + sizes + ";\n";
    }
    return text + "}\n";
}

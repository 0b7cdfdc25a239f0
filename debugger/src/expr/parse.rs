//! Tokens into trees, by C's precedences.

use super::ExprError;
use super::ast::{Binary, Derived, Expr, Step, TypeBase, TypeName, Unary};
use super::lex::{Token, lex};

/// How deep expressions nest.
const MAX_DEPTH: usize = 64;
/// How many tokens an expression has at most; a tree is no higher than that.
const MAX_TOKENS: usize = 600;

/// Words that types begin with.
const TYPE_WORDS: [&str; 18] = [
    "struct", "union", "enum", "class", "const", "volatile", "restrict", "unsigned", "signed", "char", "short", "int",
    "long", "float", "double", "void", "_Bool", "typeof",
];

const QUALIFIERS: [&str; 3] = ["const", "volatile", "restrict"];

/// Binary operators by precedence, the loosest first.
const LEVELS: [&[(&str, Binary)]; 8] = [
    &[("|", Binary::Or)],
    &[("^", Binary::Xor)],
    &[("&", Binary::And)],
    &[("==", Binary::Eq), ("!=", Binary::Ne)],
    &[("<", Binary::Lt), ("<=", Binary::Le), (">", Binary::Gt), (">=", Binary::Ge)],
    &[("<<", Binary::Shl), (">>", Binary::Shr)],
    &[("+", Binary::Add), ("-", Binary::Sub)],
    &[("*", Binary::Mul), ("/", Binary::Div), ("%", Binary::Rem)],
];

const ASSIGNMENTS: [(&str, Option<Binary>); 11] = [
    ("=", None),
    ("+=", Some(Binary::Add)),
    ("-=", Some(Binary::Sub)),
    ("*=", Some(Binary::Mul)),
    ("/=", Some(Binary::Div)),
    ("%=", Some(Binary::Rem)),
    ("<<=", Some(Binary::Shl)),
    (">>=", Some(Binary::Shr)),
    ("&=", Some(Binary::And)),
    ("|=", Some(Binary::Or)),
    ("^=", Some(Binary::Xor)),
];

/// What a whole text is: an expression, or the name of a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parsed {
    Expr(Expr),
    Type(TypeName),
}

/// Parses an expression. `is_type` tells the names of types from others.
pub(super) fn parse(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<Expr> {
    let mut parser = Parser::new(text, is_type)?;
    let expr = parser.sequence()?;
    parser.end()?;
    Ok(expr)
}

/// Parses an expression or the name of a type.
pub(super) fn parse_either(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<Parsed> {
    let mut parser = Parser::new(text, is_type)?;
    if parser.at_type() {
        let ty = parser.type_name()?;
        parser.end()?;
        return Ok(Parsed::Type(ty));
    }
    let expr = parser.sequence()?;
    parser.end()?;
    Ok(Parsed::Expr(expr))
}

struct Parser<'t> {
    tokens: Vec<(usize, Token)>,
    next: usize,
    len: usize,
    depth: usize,
    is_type: &'t dyn Fn(&str) -> bool,
}

type Result<T> = std::result::Result<T, ExprError>;

impl<'t> Parser<'t> {
    fn new(text: &str, is_type: &'t dyn Fn(&str) -> bool) -> Result<Parser<'t>> {
        let tokens = lex(text)?;
        if tokens.len() > MAX_TOKENS {
            return Err(ExprError::TooLarge("the expression"));
        }
        Ok(Parser { tokens, next: 0, len: text.len(), depth: 0, is_type })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(next)) if *next == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let taken = self.is(sign);
        self.next += usize::from(taken);
        taken
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign) { Ok(()) } else { self.error(format!("{sign} is missing")) }
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        let position = self.tokens.get(self.next).map_or(self.len, |(position, _)| *position);
        Err(ExprError::Syntax { position, message: message.into() })
    }

    fn end(&self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.error("the expression should end"),
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(ExprError::TooLarge("the expression"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn sequence(&mut self) -> Result<Expr> {
        let mut expr = self.assignment()?;
        while self.take(",") {
            expr = Expr::Sequence(Box::new(expr), Box::new(self.assignment()?));
        }
        Ok(expr)
    }

    fn assignment(&mut self) -> Result<Expr> {
        self.nested(|parser| {
            let to = parser.choice()?;
            for (sign, op) in ASSIGNMENTS {
                if parser.take(sign) {
                    let value = Box::new(parser.assignment()?);
                    return Ok(Expr::Assign { op, to: Box::new(to), value });
                }
            }
            Ok(to)
        })
    }

    fn choice(&mut self) -> Result<Expr> {
        let condition = self.or()?;
        if !self.take("?") {
            return Ok(condition);
        }
        let then = Box::new(self.nested(Self::sequence)?);
        self.expect(":")?;
        let otherwise = Box::new(self.nested(Self::choice)?);
        Ok(Expr::Choice { condition: Box::new(condition), then, otherwise })
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.take("||") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.binary(0)?;
        while self.take("&&") {
            left = Expr::And(Box::new(left), Box::new(self.binary(0)?));
        }
        Ok(left)
    }

    fn binary(&mut self, level: usize) -> Result<Expr> {
        let Some(operators) = LEVELS.get(level) else { return self.repeated() };
        let mut left = self.binary(level + 1)?;
        while let Some(&(_, op)) = operators.iter().find(|(sign, _)| self.is(sign)) {
            self.next += 1;
            let right = Box::new(self.binary(level + 1)?);
            left = Expr::Binary { op, left: Box::new(left), right };
        }
        Ok(left)
    }

    /// gdb's `first@count`, which binds closer than arithmetic.
    fn repeated(&mut self) -> Result<Expr> {
        let of = self.unary()?;
        if !self.take("@") {
            return Ok(of);
        }
        Ok(Expr::Repeat { of: Box::new(of), count: Box::new(self.unary()?) })
    }

    fn unary(&mut self) -> Result<Expr> {
        self.nested(|parser| {
            let operators = [
                ("+", Unary::Plus),
                ("-", Unary::Minus),
                ("!", Unary::Not),
                ("~", Unary::Complement),
                ("*", Unary::Deref),
                ("&", Unary::Address),
            ];
            for (sign, op) in operators {
                if parser.take(sign) {
                    return Ok(Expr::Unary { op, of: Box::new(parser.unary()?) });
                }
            }
            if matches!(parser.peek(), Some(Token::Name(name)) if name == "sizeof") {
                parser.next += 1;
                return parser.sizeof();
            }
            if parser.is("(") {
                parser.next += 1;
                if parser.at_type() {
                    let ty = parser.type_name()?;
                    parser.expect(")")?;
                    return Ok(Expr::Cast { ty, of: Box::new(parser.unary()?) });
                }
                parser.next -= 1;
            }
            parser.postfix()
        })
    }

    fn sizeof(&mut self) -> Result<Expr> {
        if self.take("(") {
            if self.at_type() {
                let ty = self.type_name()?;
                self.expect(")")?;
                return Ok(Expr::SizeofType(ty));
            }
            self.next -= 1;
        }
        Ok(Expr::Sizeof(Box::new(self.unary()?)))
    }

    fn postfix(&mut self) -> Result<Expr> {
        let mut expr = self.primary()?;
        loop {
            if self.take(".") {
                expr = Expr::Member { of: Box::new(expr), name: self.member()?, arrow: false };
            } else if self.take("->") {
                expr = Expr::Member { of: Box::new(expr), name: self.member()?, arrow: true };
            } else if self.take("[") {
                let index = Box::new(self.sequence()?);
                expr = if self.take("..") {
                    Expr::Slice { of: Box::new(expr), from: index, to: Box::new(self.sequence()?) }
                } else {
                    Expr::Index { of: Box::new(expr), index }
                };
                self.expect("]")?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn member(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            // Members of Rust tuples have numbers for names.
            Some(Token::Integer { value, .. }) => {
                let name = format!("__{value}");
                self.next += 1;
                Ok(name)
            }
            _ => self.error("the name of a member is missing"),
        }
    }

    fn primary(&mut self) -> Result<Expr> {
        let Some(token) = self.peek().cloned() else { return self.error("something is missing") };
        self.next += 1;
        Ok(match token {
            Token::Integer { value, decimal, unsigned, longs } => Expr::Integer { value, decimal, unsigned, longs },
            Token::Float(value, single) => Expr::Float(value, single),
            Token::Char(value) => Expr::Char(value),
            Token::Text(mut bytes) => {
                while let Some(Token::Text(more)) = self.peek() {
                    bytes.extend(more);
                    self.next += 1;
                }
                Expr::Text(bytes)
            }
            Token::Dollar(name) => Expr::Dollar(name),
            Token::Name(name) if self.is("(") => {
                self.next += 1;
                let call = self.call(&name)?;
                self.expect(")")?;
                call
            }
            Token::Name(name) => Expr::Name(name),
            Token::Sign("(") => {
                let inner = self.sequence()?;
                self.expect(")")?;
                inner
            }
            Token::Sign("&&") => {
                self.next -= 1;
                return self.error("&& needs something on its left");
            }
            Token::Sign(sign) => {
                self.next -= 1;
                return self.error(format!("something is missing before {sign}"));
            }
        })
    }

    /// What looks like a call: functions of the guest are not called.
    fn call(&mut self, name: &str) -> Result<Expr> {
        match name {
            "per_cpu" | "per_cpu_ptr" | "this_cpu_ptr" => {
                let of = Box::new(self.assignment()?);
                let cpu = if self.take(",") { Some(Box::new(self.assignment()?)) } else { None };
                Ok(Expr::PerCpu { of, cpu, pointer: name != "per_cpu" })
            }
            "container_of" | "list_entry" => {
                let pointer = Box::new(self.assignment()?);
                self.expect(",")?;
                let ty = self.type_name()?;
                self.expect(",")?;
                Ok(Expr::ContainerOf { pointer, ty, path: self.path()? })
            }
            "offsetof" => {
                let ty = self.type_name()?;
                self.expect(",")?;
                Ok(Expr::OffsetOf { ty, path: self.path()? })
            }
            _ => self.error(format!(
                "functions of the guest cannot be called, as {name}; there are per_cpu, container_of and offsetof:"
            )),
        }
    }

    fn path(&mut self) -> Result<Vec<Step>> {
        let mut path = vec![Step::Member(self.member()?)];
        loop {
            if self.take(".") {
                path.push(Step::Member(self.member()?));
            } else if self.take("[") {
                path.push(Step::Index(self.number()?));
                self.expect("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    fn number(&mut self) -> Result<u64> {
        match self.peek() {
            Some(&Token::Integer { value, .. }) => {
                self.next += 1;
                Ok(value)
            }
            _ => self.error("a number is missing"),
        }
    }

    /// Whether the name of a type comes next.
    fn at_type(&self) -> bool {
        match self.peek() {
            Some(Token::Name(name)) => TYPE_WORDS.contains(&name.as_str()) || (self.is_type)(name),
            _ => false,
        }
    }

    fn type_name(&mut self) -> Result<TypeName> {
        let mut words: Vec<String> = Vec::new();
        let mut base = None;
        while let Some(Token::Name(name)) = self.peek() {
            let name = name.clone();
            match name.as_str() {
                name if QUALIFIERS.contains(&name) => self.next += 1,
                "typeof" if words.is_empty() && base.is_none() => {
                    self.next += 1;
                    self.expect("(")?;
                    let expr = self.nested(Self::sequence)?;
                    self.expect(")")?;
                    base = Some(TypeBase::Of(Box::new(expr)));
                }
                _ => {
                    words.push(name);
                    self.next += 1;
                }
            }
        }
        let base = match (base, words.is_empty()) {
            (Some(base), true) => base,
            (None, false) => TypeBase::Named(words.join(" ")),
            _ => return self.error("the name of a type is missing"),
        };
        let mut derived = self.pointers()?;
        // `(*)` stands where the name would, as in `void (*)(int)` and `char (*)[16]`.
        let mut outer = Vec::new();
        if self.is("(") && matches!(self.tokens.get(self.next + 1), Some((_, Token::Sign("*")))) {
            self.next += 1;
            outer = self.pointers()?;
            self.expect(")")?;
            if self.take("(") {
                derived.push(Derived::Function(self.nested(Self::parameters)?));
            }
        }
        let mut counts = Vec::new();
        while self.take("[") {
            counts.push(Derived::Array(if self.is("]") { None } else { Some(self.number()?) }));
            self.expect("]")?;
        }
        // The last dimension is the innermost.
        derived.extend(counts.into_iter().rev());
        derived.extend(outer);
        if derived.len() > MAX_DEPTH {
            return Err(ExprError::TooLarge("the type"));
        }
        Ok(TypeName { base, derived })
    }

    fn pointers(&mut self) -> Result<Vec<Derived>> {
        let mut pointers = Vec::new();
        loop {
            if self.take("*") {
                pointers.push(Derived::Pointer);
            } else if matches!(self.peek(), Some(Token::Name(name)) if QUALIFIERS.contains(&name.as_str())) {
                self.next += 1;
            } else {
                return Ok(pointers);
            }
        }
    }

    fn parameters(&mut self) -> Result<Vec<TypeName>> {
        let mut parameters = Vec::new();
        if self.take(")") {
            return Ok(parameters);
        }
        loop {
            parameters.push(self.type_name()?);
            if !self.take(",") {
                break;
            }
        }
        self.expect(")")?;
        let nothing = TypeName { base: TypeBase::Named("void".into()), derived: Vec::new() };
        if parameters == [nothing] {
            parameters.clear();
        }
        Ok(parameters)
    }
}
